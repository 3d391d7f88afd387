"""The one event stream of a gateway object: opened again until it is closed, each time where it was."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx

from . import errors
from ._http import Http, unreachable
from ._retry import backoff
from ._sse import Parser
from .models import Frame, State

log = logging.getLogger("noetl_gateway_client")

SILENCE = 75.0  # the gateway pings every 30 s: two and a half of them missed
STEADY = 5.0  # a server that accepts and hangs up immediately must not reset the backoff


class Stream:
    def __init__(
        self,
        http: Http,
        on_first: Callable[[dict[str, Any]], None],
        on_frame: Callable[[Frame], None],
        on_state: Callable[[State], None],
        on_error: Callable[[errors.GatewayError], None],
    ) -> None:
        self._http = http
        self._on_first = on_first
        self._on_frame = on_frame
        self._on_state = on_state
        self._on_error = on_error
        self.client_id: str | None = None
        self._last_id: str | None = None
        self.connections = 0
        """How many first frames have come."""
        self._again = asyncio.Event()

    def reconnect(self) -> None:
        """Ends the connection: the next one says which requests are pending, and goes on where this one was."""
        self._again.set()

    def forget(self) -> None:
        """Comes as a new client next time."""
        self.client_id = self._last_id = None
        self.reconnect()

    async def run(self) -> None:
        """Returns by raising ExpiredError or DeniedError, or when it is cancelled."""
        loop = asyncio.get_running_loop()
        attempt = 0
        refusals = 0
        while True:
            began = loop.time()
            floor = 0.0
            asked = False
            token: str | None = None
            try:
                token = await self._http.token()
                asked = await self._once(token)
                self._on_state("reconnecting")
            except errors.ExpiredError as error:
                if token is None:
                    raise
                refusals = 1 if loop.time() - began > STEADY else refusals + 1
                if refusals > 2:
                    raise  # each session that get_session gives is refused
                await self._http.renew(token)
                self._on_state("reconnecting")
                if refusals == 1:
                    continue
            except errors.DeniedError:
                raise
            except errors.GatewayError as error:
                if self.connections == 0 and 400 <= error.status < 500 and error.status not in (408, 425, 429):
                    raise  # an address that is wrong, and not an outage
                floor = error.wait
                self._on_state("offline" if error.code == "network" else "reconnecting")
                self._on_error(error)
            except Exception as error:  # a frame that cannot be read, an address that cannot be
                log.warning("the event stream broke: %s", type(error).__name__)
                self._on_state("reconnecting")
                self._on_error(errors.UnavailableError(f"the event stream broke: {error}", code="bad_stream"))
            if asked:
                attempt = 0
                continue
            if loop.time() - began > STEADY:
                attempt = refusals = 0
            await self._pause(max(floor, backoff(attempt)))
            attempt += 1

    async def _pause(self, seconds: float) -> None:
        """Waits before the next connection; reconnect ends it."""
        try:
            async with asyncio.timeout(seconds):
                await self._again.wait()
        except TimeoutError:
            pass

    async def _once(self, token: str) -> bool:
        """One connection, to its end. Reports whether reconnect ended it."""
        self._again.clear()
        reading = asyncio.ensure_future(self._read(token))
        asking = asyncio.ensure_future(self._again.wait())
        try:
            await asyncio.wait((reading, asking), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                return False
            return True
        finally:
            asking.cancel()
            reading.cancel()
            await asyncio.gather(reading, asking, return_exceptions=True)

    async def _read(self, token: str) -> None:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        path = "/events"
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        if self.client_id:
            path += "?client_id=" + quote(self.client_id, safe="")
        try:
            async with self._http.stream(token, path, headers, SILENCE) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise errors.of_response(response)
                if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
                    raise errors.UnavailableError("this is no event stream", code="no_stream", status=502)
                parser = Parser()
                async for chunk in response.aiter_bytes():
                    for event in parser.feed(chunk):
                        self._take(event.data, event.id)
        except httpx.TransportError as cause:
            raise unreachable(cause) from cause

    def _take(self, text: str, event_id: str | None) -> None:
        message = json.loads(text)
        if not isinstance(message, dict):
            raise ValueError("a frame is not an object")
        if "result" in message:
            first = message["result"]
            self.client_id = str(first["clientId"])
            self._last_id = event_id or self._last_id
            self.connections += 1
            self._on_state("live")
            self._on_first(first)
            return
        params = message.get("params")
        method = str(message.get("method", ""))
        if method == "session/expired":
            raise errors.ExpiredError("the session has ended", code="session_expired", status=401)
        # A frame that a handler could not take would come again forever: the place is saved first.
        self._last_id = event_id or self._last_id
        if method != "ping":
            self._on_frame(Frame(method, params if isinstance(params, dict) else {}, event_id))
