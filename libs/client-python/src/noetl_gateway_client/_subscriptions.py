"""The subscriptions of a gateway object: opened again where the gateway lost them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Any, Protocol

from . import errors
from ._http import Http
from ._retry import backoff
from .models import Frame
from .subscription import Subscription

EARLY = 10_000
OPEN = 30.0  # how long opening one for the first time is tried


class Owner(Protocol):
    @property
    def http(self) -> Http: ...

    @property
    def ended(self) -> errors.GatewayError | None: ...

    async def client(self) -> str: ...

    def spawn(self, work: Awaitable[None], *, finish: bool = False) -> None: ...


class Subscriptions:
    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._open: dict[str, Subscription[Any]] = {}
        self._opening: set[Subscription[Any]] = set()
        self._early: deque[Frame] = deque(maxlen=EARLY)
        self._client = ""

    def add(self, subscription: Subscription[Any]) -> None:
        if self._owner.ended is not None:
            subscription.finish(self._owner.ended)
            return
        self._reopen(subscription)

    def _reopen(self, subscription: Subscription[Any]) -> None:
        if subscription not in self._opening and not subscription.ended:
            self._opening.add(subscription)
            self._owner.spawn(self._begin(subscription))

    async def _begin(self, subscription: Subscription[Any]) -> None:
        try:
            await self._try(subscription)
        except errors.GatewayError as error:
            subscription.finish(error)
        finally:
            self._opening.discard(subscription)
            if not self._opening:
                self._early.clear()

    async def _try(self, subscription: Subscription[Any]) -> None:
        attempt = 0
        lost = False
        until = asyncio.get_running_loop().time() + OPEN
        while not subscription.ended:
            client = await self._owner.client()
            wanted = {"source": subscription.source, "path": subscription.path, "client_id": client}
            try:
                opened = await self._found(wanted) if lost else None
                if opened is None:
                    opened = (await self._owner.http.send("POST", "/api/subscriptions", json=wanted)).json()
                self._opened(subscription, str(opened["subscription_id"]))
                return
            except errors.GatewayError as error:
                # 409: the event stream is not there now. It comes again.
                if error.status not in (0, 409, 429, 502, 503, 504) or error.code == "subscriptions_not_configured":
                    raise
                if subscription.current is None and asyncio.get_running_loop().time() > until:
                    raise
                if error.code == "too_many_subscriptions":
                    raise
                lost = lost or error.status == 0
                await asyncio.sleep(max(error.wait, backoff(attempt)))
                attempt += 1

    async def _found(self, wanted: dict[str, str]) -> dict[str, Any] | None:
        """One that was opened although its answer was lost."""
        listed = (await self._owner.http.send("GET", "/api/subscriptions")).json()
        for entry in listed.get("subscriptions", ()):
            if entry.get("subscription_id") not in self._open and all(entry.get(k) == v for k, v in wanted.items()):
                return dict(entry)
        return None

    def _opened(self, subscription: Subscription[Any], subscription_id: str) -> None:
        self._open[subscription_id] = subscription
        subscription.opened(subscription_id)
        self._opening.discard(subscription)
        early, self._early = self._early, deque(maxlen=EARLY)
        for frame in early:
            self.take(frame)
        if subscription.ended:  # closed while it was opened
            self._owner.spawn(self._delete(subscription), finish=True)

    def take(self, frame: Frame) -> None:
        subscription = self._open.get(str(frame.params.get("subscription_id")))
        if subscription is None:
            if self._opening:
                self._early.append(frame)
            return
        if frame.method == "subscription/event":
            if not subscription.ended:
                subscription.take(dict(frame.params))
                if subscription.ended:
                    self._owner.spawn(self._delete(subscription))
            return
        self._forget(subscription)
        reason = str(frame.params.get("reason"))
        if reason in ("expired", "session"):  # its client was not connected for too long, or has a new session
            self._reopen(subscription)
        else:
            subscription.finish(_ended(reason))

    def gap(self) -> None:
        """Changes are gone for good: opened again, all documents come again."""
        for subscription in list(self._open.values()):
            self._owner.spawn(self._delete(subscription))
            self._reopen(subscription)

    def connected(self, client: str) -> None:
        changed = bool(self._client) and client != self._client
        self._client = client
        if changed:
            self.gap()

    def end(self, error: errors.GatewayError) -> None:
        for subscription in (*self._open.values(), *self._opening):
            subscription.finish(None if error.code == "closed" else error)
        self._open.clear()

    def _forget(self, subscription: Subscription[Any]) -> None:
        for subscription_id, other in list(self._open.items()):
            if other is subscription:
                del self._open[subscription_id]

    async def close(self, subscription: Subscription[Any]) -> None:
        subscription.finish(None)
        if subscription in self._open.values():
            await self._delete(subscription)

    async def _delete(self, subscription: Subscription[Any]) -> None:
        ids = [k for k, v in self._open.items() if v is subscription]
        self._forget(subscription)
        for subscription_id in ids:
            try:
                await self._owner.http.send("DELETE", "/api/subscriptions/" + subscription_id)
            except errors.GatewayError:
                pass  # it ends by itself: soon after its client has left


def _ended(reason: str) -> errors.GatewayError | None:
    if reason == "closed":
        return None
    kind, status = {
        "denied": (errors.DeniedError, 403),
        "not_found": (errors.GatewayError, 404),
        "source_gone": (errors.UnavailableError, 503),
    }.get(reason, (errors.GatewayError, 0))
    return kind(f"the subscription ended: {reason}", code=reason, status=status)
