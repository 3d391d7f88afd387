"""Asking for the state of an execution whose frames may be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import errors
from ._retry import backoff
from .models import Execution
from .run import Run

if TYPE_CHECKING:
    from ._dispatch import Dispatch

ON_ITS_WAY = 1.0  # how long the result of an execution that is over may still come: it says more than the answer


async def poll(gateway: Dispatch, run: Run, seconds: float, *, once: bool) -> None:
    """Asks, from then on, until the execution is over; once: a single time, in case it is over."""
    attempt = 0
    await gateway.finished(run, seconds)
    while not run.done:
        if run.execution_id is not None:
            try:
                execution = await gateway.ask(run.execution_id)
                if execution is not None and execution.over:
                    await gateway.finished(run, ON_ITS_WAY)
                    _settle_by(gateway, run, execution)
                if once:
                    return
            except errors.GatewayError as error:
                if isinstance(error, (errors.DeniedError, errors.ExpiredError)):
                    gateway.settle(run, errors.copy(error, run))
                    return
        elif once:
            return
        await gateway.finished(run, backoff(attempt, 2.0))
        attempt += 1


def _settle_by(gateway: Dispatch, run: Run, execution: Execution) -> None:
    if run.done:
        return
    if execution.cancelled:
        gateway.settle(run, cancelled(run))
    elif execution.failed:
        text = execution.error if isinstance(execution.error, str) and execution.error else "the playbook failed"
        gateway.settle(
            run,
            errors.RunFailedError(
                text, code="playbook_failed", request_id=run.request_id, execution_id=run.execution_id, data=execution.error
            ),
        )
    else:
        run.succeed(execution.result)


def cancelled(run: Run) -> errors.RunFailedError:
    return errors.RunFailedError(
        "the execution was cancelled", code="cancelled", request_id=run.request_id, execution_id=run.execution_id
    )
