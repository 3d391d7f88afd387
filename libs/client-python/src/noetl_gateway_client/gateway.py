"""The gateway, as its users see it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal

import httpx

from . import errors
from ._dispatch import Dispatch
from ._http import GetSession
from ._starts import EXECUTE, RERUN
from .models import Capabilities, DocumentEvent, Execution, PlaybookState, Progress, State
from .run import Run
from .subscription import Subscription, reset_or_document, state_of

Event = Literal["state", "frame", "pending", "gap", "expired", "progress", "playbook", "result", "error"]


class Gateway(Dispatch):
    """A connection to a NoETL gateway.

        async with Gateway("http://localhost:8090", session="…") as gateway:
            result = await gateway.run("demo/echo", {"text": "hello"})

    session is a session token; get_session is asked for one, with "start" or "expired", and may be a coroutine
    function. timeout is seconds for one HTTP call. http_client is used for all calls, and not closed, if it is given.
    """

    def __init__(
        self,
        url: str,
        *,
        session: str | None = None,
        get_session: GetSession | None = None,
        timeout: float = 30.0,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(url, session, get_session, timeout, http_client)

    def __repr__(self) -> str:
        return f"<Gateway {self._http.base} {self.state}>"

    @property
    def state(self) -> State:
        return self._state

    @property
    def client_id(self) -> str | None:
        """Of the event stream; None before its first frame."""
        return self._stream.client_id

    @property
    def capabilities(self) -> Capabilities | None:
        return self._capabilities

    async def connect(self) -> None:
        """Opens the event stream and waits for its first frame, for `timeout` seconds. `async with` does this."""
        self._open()
        try:
            async with asyncio.timeout(self._http.timeout):
                await self._live()
        except TimeoutError as cause:
            error = self._last_error or errors.UnavailableError("there is no event stream", code="no_stream")
            await self.close()
            raise error from cause
        except BaseException:
            await self.close()
            raise

    async def __aenter__(self) -> Gateway:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the stream. Runs that are not over fail with the code closed; their executions go on."""
        await self._close()

    def run(
        self,
        playbook: str,
        variables: Mapping[str, Any] | None = None,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        on_state: Callable[[PlaybookState], object] | None = None,
        timeout: float | None = None,
        cancel_with_task: bool = False,
        kind: Literal["playbook", "agent"] = "playbook",
        request_id: str | None = None,
    ) -> Run:
        """Starts a playbook; await what it returns for the result.

        After timeout seconds the execution is cancelled, and the run fails with RunTimeoutError. Cancelling the task
        that awaits the run leaves the execution running, unless cancel_with_task is true.
        """
        run = Run(self, request_id or str(uuid.uuid4()), playbook, on_progress, on_state, cancel_with_task)
        arguments = {"name": playbook, "variables": dict(variables or {}), "kind": kind}
        self._start(run, EXECUTE, arguments, timeout)
        return run

    def rerun(
        self,
        execution_id: str,
        variables: Mapping[str, Any] | None = None,
        *,
        on_progress: Callable[[Progress], object] | None = None,
        on_state: Callable[[PlaybookState], object] | None = None,
        timeout: float | None = None,
        cancel_with_task: bool = False,
        request_id: str | None = None,
    ) -> Run:
        """Starts an execution again, with other variables if some are given. Otherwise as run."""
        run = Run(self, request_id or str(uuid.uuid4()), "", on_progress, on_state, cancel_with_task)
        arguments = {"id": execution_id, "variables": None if variables is None else dict(variables)}
        self._start(run, RERUN, arguments, timeout)
        return run

    async def cancel(self, execution_id: str, reason: str | None = None, *, cascade: bool = True) -> None:
        """Cancels an execution, and what it started unless cascade is false. One that is over stays as it is."""
        try:
            await self.request(
                "POST",
                f"/noetl/executions/{_segment(execution_id)}/cancel",
                json={"reason": reason or "cancelled by the client", "cascade": cascade},
            )
        except errors.GatewayError as error:
            if error.status not in (409, 422):
                raise
            execution = await self.execution(execution_id)
            if execution is None or not execution.over:
                raise
        for run in list(self._runs.values()):
            if run.execution_id == execution_id:
                self._ask_later(run)

    async def execution(self, execution_id: str) -> Execution | None:
        """How an execution is doing; None if there is none of that id."""
        return await self.ask(execution_id)

    def follow(self, execution_id: str) -> Subscription[PlaybookState]:
        """The lifecycle of an execution from its beginning, however it was started; ends with its last event."""
        return self._subscribe(Subscription(self, "execution", execution_id, state_of))

    def subscribe(
        self, path: str, *, source: Literal["firestore", "kv"] | None = None
    ) -> Subscription[DocumentEvent]:
        """The documents of a path, then what changes of them. Without a source: firestore, or kv where only that is."""
        sources = self._capabilities.subscription_sources if self._capabilities else ()
        chosen = source or ("kv" if "kv" in sources and "firestore" not in sources else "firestore")
        return self._subscribe(Subscription(self, chosen, path, reset_or_document))

    def on(self, event: Event, handler: Callable[[Any], object]) -> Callable[[], None]:
        """Calls handler, a function or a coroutine function, for each event; returns what ends that.

        It gets: state - the state; frame - a Frame; pending - a list of PendingRequest; gap, result - the params of
        the frame; progress - a Progress; playbook - a PlaybookState; expired, error - a GatewayError.
        """
        handlers = self._handlers.setdefault(event, [])
        handlers.append(handler)

        def off() -> None:
            if handler in handlers:
                handlers.remove(handler)

        return off

    async def request(self, method: str, path: str, **content: Any) -> httpx.Response:
        """One call of the gateway with the session; content is that of httpx (json, content, params, headers).

        What is not a 2xx is raised as a GatewayError.
        """
        return await self._http.send(method, path, content.pop("headers", None), **content)

    async def unsubscribe(self, subscription: Subscription[Any]) -> None:
        """Closes a subscription."""
        await self._unsubscribe(subscription)


def _segment(value: str) -> str:
    if not value or not all(c.isalnum() or c in "-_" for c in value) or not value.isascii():
        raise ValueError("that is no execution id")
    return value
