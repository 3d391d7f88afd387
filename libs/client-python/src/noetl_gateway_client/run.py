"""A run: a playbook that was started, its frames and its result."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Protocol

from . import errors
from .models import Frame, PlaybookState, Progress

log = logging.getLogger("noetl_gateway_client")

# How many frames of a run are kept for iterators that come later, or are slow.
KEPT = 1_000


class Spawner(Protocol):
    def spawn(self, work: Awaitable[None], *, finish: bool = False) -> None: ...


class Owner(Spawner, Protocol):
    """What a run needs of its gateway."""

    async def cancel(self, execution_id: str, reason: str | None = None) -> None: ...


class Run:
    """Await it for the result, iterate over it for the frames, as often as you like.

    The execution runs on the server: cancelling the task that awaits a run leaves it running, unless the run was made
    with cancel_with_task.
    """

    def __init__(
        self,
        owner: Owner,
        request_id: str,
        playbook: str,
        on_progress: Callable[[Progress], object] | None,
        on_state: Callable[[PlaybookState], object] | None,
        cancel_with_task: bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._request_id = request_id
        self.playbook = playbook
        self.client_id: str | None = None
        """The client whose stream gets its frames."""
        self._owner = owner
        self._on_progress = on_progress
        self._on_state = on_state
        self._cancel_with_task = cancel_with_task
        self._started: asyncio.Future[str] = loop.create_future()
        self._result: asyncio.Future[Any] = loop.create_future()
        for future in (self._started, self._result):
            future.add_done_callback(_looked_at)
        self._frames: deque[Frame] = deque(maxlen=KEPT)
        self._count = 0
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.polled = False

    def __repr__(self) -> str:
        state = "running" if not self.done else "failed" if self.error else "completed"
        return f"<Run {self.playbook or 'of ' + str(self.execution_id)} {self.request_id} {state}>"

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        try:
            return await asyncio.shield(self._result)
        except asyncio.CancelledError:
            if self._cancel_with_task and not self.done:
                self._owner.spawn(self._cancel("its task was cancelled"), finish=True)
            raise

    @property
    def request_id(self) -> str:
        return self._request_id

    @property
    def started(self) -> Awaitable[str]:
        """Await it for the execution id."""
        return self._wait_started()

    async def _wait_started(self) -> str:
        return await asyncio.shield(self._started)

    @property
    def execution_id(self) -> str | None:
        """None until it is known."""
        return self._started.result() if self._started.done() and not self._started.exception() else None

    @property
    def starting(self) -> bool:
        """Whether its execution may still become known, which one that is to be cancelled waits for."""
        return not self._started.done()

    @property
    def done(self) -> bool:
        return self._result.done()

    @property
    def error(self) -> BaseException | None:
        return self._result.exception() if self._result.done() else None

    async def cancel(self, reason: str | None = None) -> None:
        """Cancels the execution; once it has started, if it has not yet. The run then fails with the code cancelled."""
        if self.done:
            return
        try:
            execution_id = await self.started
        except errors.GatewayError:
            return  # it has not started, and will not
        if not self.done:
            await self._owner.cancel(execution_id, reason)

    async def _cancel(self, reason: str) -> None:
        try:
            await self._owner.cancel(await self.started, reason)
        except errors.GatewayError as cause:
            log.warning("cancelling an execution failed: %s", cause.code)

    async def __aiter__(self) -> AsyncIterator[Frame]:
        """The frames from the first on. After the last one it ends, or raises what the run failed with."""
        at = 0
        while True:
            at = max(at, self._count - len(self._frames))
            while at < self._count:
                frame = self._frames[at - self._count]
                at += 1
                yield frame
                at = max(at, self._count - len(self._frames))
            if self.done:
                if self.error is not None:
                    raise self.error
                return
            await self._news.wait()

    # What the gateway tells.

    def when_done(self, told: Callable[[], None]) -> None:
        self._result.add_done_callback(lambda _: told())

    def limit(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire, seconds)

    def _expire(self, seconds: float) -> None:
        if self.done:
            return
        self._owner.spawn(self._cancel(f"it took longer than {seconds:g} s"), finish=True)
        self.fail(
            errors.RunTimeoutError(
                f"{self.playbook} took longer than {seconds:g} s",
                code="timeout",
                request_id=self.request_id,
                execution_id=self.execution_id,
            )
        )

    def bind(self, execution_id: str) -> None:
        if not self._started.done():
            self._started.set_result(execution_id)

    def take(self, frame: Frame) -> None:
        self._frames.append(frame)
        self._count += 1
        self._wake()
        if frame.method == "playbook/progress" and self._on_progress is not None:
            call(self._owner, self._on_progress, Progress.of(frame.params))
        elif frame.method == "playbook/state" and self._on_state is not None:
            call(self._owner, self._on_state, PlaybookState.of(frame.params))

    def succeed(self, result: Any) -> None:
        if not self.done:
            self._result.set_result(result)
            self._end(errors.GatewayError("the execution id never came", code="no_execution_id"))

    def fail(self, error: errors.GatewayError) -> None:
        if not self.done:
            self._result.set_exception(error)
            # An execution that may still start, after a timeout, is waited for: to cancel it.
            self._end(None if isinstance(error, errors.RunTimeoutError) else error)

    def fail_start(self, error: errors.GatewayError) -> None:
        self.fail(error)
        self._end(error)

    def _end(self, error: errors.GatewayError | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if error is not None and not self._started.done():
            self._started.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _looked_at(future: asyncio.Future[Any]) -> None:
    """Who only iterates never asks for the result: asyncio must not complain."""
    if not future.cancelled():
        future.exception()


def call(owner: Spawner, handler: Callable[[Any], object], value: Any) -> None:
    """Calls a handler of the user, which may be a coroutine function. What it raises is logged: the stream goes on."""

    async def wait(answer: Awaitable[object]) -> None:
        try:
            await answer
        except Exception:
            log.exception("a handler failed")

    try:
        answer = handler(value)
    except Exception:
        log.exception("a handler failed")
        return
    if inspect.isawaitable(answer):
        owner.spawn(wait(answer))
