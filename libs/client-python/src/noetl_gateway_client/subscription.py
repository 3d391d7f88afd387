"""A subscription: changes of documents, or of an execution, as an asynchronous iterator."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from . import errors
from .models import DocumentEvent, PlaybookState

E = TypeVar("E", bound=DocumentEvent | PlaybookState)

KEPT = 10_000  # events that wait for the one who iterates; one who never does must not cost all memory


class Owner(Protocol):
    async def unsubscribe(self, subscription: Subscription[Any]) -> None: ...


class Subscription(Generic[E]):
    """Iterate over it; close it, or use it with `async with`, when you have seen enough."""

    def __init__(self, owner: Owner, source: str, path: str, read: Callable[[dict[str, Any]], E]) -> None:
        self.source = source
        self.path = path
        self.current: str | None = None
        """The id that it has now: another one after it was opened again."""
        self._owner = owner
        self._read = read
        self._id: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._id.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._events: deque[E] = deque()
        self._news = asyncio.Event()
        self._end: errors.GatewayError | None = None
        self.ended = False
        self._seen: set[str] = set()  # of an execution: its events come again after a gap

    def __repr__(self) -> str:
        return f"<Subscription {self.source} {self.path} {'ended' if self.ended else 'open'}>"

    @property
    def id(self) -> Awaitable[str]:
        return self._wait_id()

    async def _wait_id(self) -> str:
        return await asyncio.shield(self._id)

    async def close(self) -> None:
        await self._owner.unsubscribe(self)

    async def __aenter__(self) -> Subscription[E]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Subscription[E]:
        return self

    async def __anext__(self) -> E:
        while not self._events:
            if self.ended:
                if self._end is not None:
                    raise self._end
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()

    # What the gateway tells.

    def opened(self, subscription_id: str) -> None:
        if self.current is not None and self.source != "execution":
            self._put(self._read({"op": "reset", "subscription_id": subscription_id}))
        self.current = subscription_id
        if not self._id.done():
            self._id.set_result(subscription_id)

    def take(self, params: dict[str, Any]) -> None:
        event = self._read(params)
        if isinstance(event, PlaybookState):
            name = str(params.get("doc_id"))
            if name in self._seen:
                return
            self._seen.add(name)
        self._put(event)
        if isinstance(event, PlaybookState) and event.over:
            self.finish(None)
        elif len(self._events) > KEPT:
            self.finish(errors.GatewayError(f"{KEPT} events were not read", code="unread"))

    def _put(self, event: E) -> None:
        self._events.append(event)
        self._news.set()

    def finish(self, error: errors.GatewayError | None) -> None:
        if self.ended:
            return
        self.ended = True
        self._end = error
        if not self._id.done():
            self._id.set_exception(error or errors.GatewayError("the subscription is closed", code="closed"))
        self._news.set()


def reset_or_document(params: dict[str, Any]) -> DocumentEvent:
    if params.get("op") == "reset":
        return DocumentEvent(str(params.get("subscription_id", "")), "", "reset")
    return DocumentEvent.of(params)


def state_of(params: dict[str, Any]) -> PlaybookState:
    data = params.get("data")
    return PlaybookState.of(data if isinstance(data, dict) else {})
