"""Starting a playbook once, although answers get lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from . import errors
from ._retry import backoff
from .run import Run

if TYPE_CHECKING:
    from ._dispatch import Dispatch

EXECUTE = """mutation Run($name: String!, $variables: JSON, $kind: ExecutableResourceKind, $c: String, $r: String) {
  started: executePlaybook(name: $name, variables: $variables, resourceKind: $kind, clientId: $c, requestId: $r) {
    executionId } }"""
RERUN = """mutation Rerun($id: String!, $variables: JSON, $c: String, $r: String) {
  started: rerunExecution(executionId: $id, variables: $variables, clientId: $c, requestId: $r) { executionId } }"""

# How long a start whose answer was lost is repeated. The gateway knows a request id for 30 min by default: repeated
# later than that, a playbook would run twice.
REPEATED_FOR = 60.0
GRACE = 2.0


async def start(gateway: Dispatch, run: Run, query: str, arguments: dict[str, Any]) -> None:
    """Returns when the execution id is known, or the run has ended."""
    loop = asyncio.get_running_loop()
    until = loop.time() + REPEATED_FOR
    attempt = 0
    lost = False
    while run.starting:
        run.client_id = await gateway.client()
        variables = {**arguments, "c": run.client_id, "r": run.request_id}
        try:
            data = await gateway.graphql(query, variables)
            run_id = (data.get("started") or {}).get("executionId")
            if not run_id:
                raise errors.UnavailableError("the answer has no execution id", code="bad_answer", status=502)
            gateway.bind(run, str(run_id))
            return
        except errors.GatewayError as error:
            if error.code == "request_exists" and lost:
                if await _started(gateway, run, until):
                    return
                # It was refused meanwhile, and is not pending: say it again.
            elif error.code in ("unknown_client", "client_not_yours") and attempt == 0:
                gateway.forget(run.client_id)
            elif not _may_repeat(error) or loop.time() > until:
                error.request_id = run.request_id
                raise
            else:
                lost = True
            floor = error.wait
        await asyncio.sleep(max(floor, backoff(attempt)))
        attempt += 1


def _may_repeat(error: errors.GatewayError) -> bool:
    """A lost answer, or one that says that nothing was done yet. What NoETL does not answer is not repeated."""
    return error.code in ("network", "timeout") or error.status in (429, 503) or error.code in (
        "http_502",
        "http_504",
    )


async def _started(gateway: Dispatch, run: Run, until: float) -> bool:
    """Finds the execution of a request that the gateway has; False if it has it no longer."""
    loop = asyncio.get_running_loop()
    attempt = 0
    while run.starting:
        pending = await gateway.ask_pending()
        if not run.starting:
            break
        if run.request_id not in pending:
            # Its result is on the way, or it was refused.
            await gateway.wait(run, GRACE)
            if not run.starting:
                break
            if loop.time() > until:
                raise errors.UnavailableError(
                    "nobody can tell whether it was started", code="start_unknown", request_id=run.request_id
                )
            return False
        await gateway.wait(run, backoff(attempt, 1.0))
        attempt += 1
    return True
