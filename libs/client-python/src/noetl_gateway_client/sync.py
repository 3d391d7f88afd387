"""The same without asyncio: an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar

import httpx

from .gateway import Event, Gateway
from .models import Capabilities, DocumentEvent, Execution, Frame, PlaybookState, State
from .run import Run
from .subscription import Subscription

T = TypeVar("T")
E = TypeVar("E", bound=DocumentEvent | PlaybookState)


class _Loop:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="noetl-gateway-client", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl+C, say
            raise

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class SyncRun:
    """A run that was started."""

    def __init__(self, loop: _Loop, run: Run) -> None:
        self._loop = loop
        self._run = run

    def __repr__(self) -> str:
        return repr(self._run)

    @property
    def request_id(self) -> str:
        return self._run.request_id

    @property
    def execution_id(self) -> str | None:
        return self._run.execution_id

    @property
    def done(self) -> bool:
        return self._run.done

    def started(self) -> str:
        """Waits for the execution id."""

        async def wait() -> str:
            return await self._run.started

        return self._loop.wait(wait())

    def result(self) -> Any:
        """Waits for the result."""

        async def wait() -> Any:
            return await self._run

        return self._loop.wait(wait())

    def cancel(self, reason: str | None = None) -> None:
        self._loop.wait(self._run.cancel(reason))

    def __iter__(self) -> Iterator[Frame]:
        frames = self._run.__aiter__()

        async def following() -> Frame | None:
            return await anext(frames, None)

        while (frame := self._loop.wait(following())) is not None:
            yield frame


class SyncSubscription(Generic[E]):
    def __init__(self, loop: _Loop, subscription: Subscription[E]) -> None:
        self._loop = loop
        self._subscription = subscription

    def __iter__(self) -> Iterator[E]:
        async def following() -> E | None:
            return await anext(self._subscription, None)

        while (event := self._loop.wait(following())) is not None:
            yield event

    def close(self) -> None:
        self._loop.wait(self._subscription.close())

    def __enter__(self) -> SyncSubscription[E]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncGateway:
    """As Gateway, for programs without asyncio.

        with SyncGateway("http://localhost:8090", session="…") as gateway:
            result = gateway.run("demo/echo", {"text": "hello"})

    run waits for the result; start returns a SyncRun. Handlers are called in another thread. Ctrl+C while waiting
    leaves the execution running.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._loop = _Loop()
        self._closed = False

        async def make() -> Gateway:
            return Gateway(url, **options)

        try:
            self._gateway = self._loop.wait(make())
        except BaseException:
            self._loop.stop()
            raise

    def __repr__(self) -> str:
        return "<Sync" + repr(self._gateway)[1:]

    def __enter__(self) -> SyncGateway:
        try:
            self._loop.wait(self._gateway.connect())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.wait(self._gateway.close())
            self._loop.stop()

    @property
    def state(self) -> State:
        return self._gateway.state

    @property
    def client_id(self) -> str | None:
        return self._gateway.client_id

    @property
    def capabilities(self) -> Capabilities | None:
        return self._gateway.capabilities

    def run(self, playbook: str, variables: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Runs a playbook and returns its result. The options are those of Gateway.run."""
        return self.start(playbook, variables, **options).result()

    def start(self, playbook: str, variables: Mapping[str, Any] | None = None, **options: Any) -> SyncRun:
        """Starts a playbook, and does not wait."""

        async def begin() -> Run:
            return self._gateway.run(playbook, variables, **options)

        return SyncRun(self._loop, self._loop.wait(begin()))

    def rerun(self, execution_id: str, variables: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Runs an execution again and returns the result. The options are those of Gateway.rerun."""

        async def again() -> Any:
            return await self._gateway.rerun(execution_id, variables, **options)

        return self._loop.wait(again())

    def cancel(self, execution_id: str, reason: str | None = None, *, cascade: bool = True) -> None:
        self._loop.wait(self._gateway.cancel(execution_id, reason, cascade=cascade))

    def execution(self, execution_id: str) -> Execution | None:
        return self._loop.wait(self._gateway.execution(execution_id))

    def follow(self, execution_id: str) -> SyncSubscription[PlaybookState]:
        async def begin() -> Subscription[PlaybookState]:
            return self._gateway.follow(execution_id)

        return SyncSubscription(self._loop, self._loop.wait(begin()))

    def subscribe(
        self, path: str, *, source: Literal["firestore", "kv"] | None = None
    ) -> SyncSubscription[DocumentEvent]:
        async def begin() -> Subscription[DocumentEvent]:
            return self._gateway.subscribe(path, source=source)

        return SyncSubscription(self._loop, self._loop.wait(begin()))

    def on(self, event: Event, handler: Callable[[Any], object]) -> Callable[[], None]:
        return self._gateway.on(event, handler)

    def request(self, method: str, path: str, **content: Any) -> httpx.Response:
        return self._loop.wait(self._gateway.request(method, path, **content))
