"""Calls of the gateway with the session, and renewing it."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import httpx

from . import errors

GetSession = Callable[[Literal["start", "expired"]], str | None | Awaitable[str | None]]

# What RFC 6750, section 2.1 allows. httpx would write any other into the text of an exception.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


class Http:
    def __init__(
        self,
        url: str,
        session: str | None,
        get_session: GetSession | None,
        timeout: float,
        client: httpx.AsyncClient | None,
    ) -> None:
        base = httpx.URL(url)
        if base.scheme not in ("http", "https") or not base.host or base.userinfo or base.query or base.fragment:
            raise ValueError("url must be the http or https address of a gateway, without user, query and fragment")
        if (session is None) == (get_session is None):
            raise ValueError("give either session or get_session")
        self.base = str(base).rstrip("/")
        self.timeout = timeout
        self._token = None if session is None else _checked(session)
        self._get_session = get_session
        self._renewing: asyncio.Task[None] | None = None
        self._own = client is None
        # Starts, queries and downloads share these; the pool may make them wait, for the deadline is theirs.
        self._client = client or httpx.AsyncClient(
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=20),
        )

    async def aclose(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        if self._own:
            await self._client.aclose()

    async def token(self) -> str:
        """The session token; asked for if there is none yet."""
        if self._token is None:
            await self.renew(None)
        if self._token is None:
            raise errors.ExpiredError("get_session gave no session", code="no_session", status=401)
        return self._token

    async def renew(self, refused: str | None) -> None:
        """Gets a session in place of one that was refused. Those who ask meanwhile share the answer."""
        if self._token != refused:
            return  # somebody was faster
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(refused))
            self._renewing.add_done_callback(self._renewed)
        await asyncio.shield(self._renewing)

    def _renewed(self, task: asyncio.Task[None]) -> None:
        self._renewing = None
        if not task.cancelled():
            task.exception()  # those who wait have it; one who left must not make asyncio complain

    async def _renew(self, refused: str | None) -> None:
        expired = errors.ExpiredError("the session is invalid or has expired", code="invalid_session", status=401)
        if self._get_session is None:
            raise expired
        try:
            answer = self._get_session("start" if refused is None else "expired")
            token = await answer if inspect.isawaitable(answer) else answer
            if not token or token == refused:
                raise expired
            self._token = _checked(token)
        except errors.ExpiredError:
            raise
        except Exception as cause:
            raise expired from cause

    def _address(self, path: str) -> str:
        if not path.startswith("/"):
            raise ValueError("a path begins with a slash: the session goes to this gateway only")
        return self.base + path

    def _headers(self, token: str, headers: dict[str, str] | None) -> dict[str, str]:
        return {"Accept": "application/json", **(headers or {}), "Authorization": "Bearer " + token}

    async def send(
        self, method: str, path: str, headers: dict[str, str] | None = None, *, large: bool = False, **content: Any
    ) -> httpx.Response:
        """One call. A session that has expired is renewed once. Anything but a 2xx is raised.

        The deadline is for all of it; for a large answer it is for each part that comes.
        """
        for last in (False, True):
            token = await self.token()
            try:
                async with asyncio.timeout(None if large else self.timeout):
                    response = await self._client.request(
                        method,
                        self._address(path),
                        headers=self._headers(token, headers),
                        timeout=httpx.Timeout(self.timeout, pool=None) if large else None,
                        follow_redirects=False,
                        **content,
                    )
            except TimeoutError as cause:
                raise errors.UnavailableError("the gateway did not answer in time", code="timeout") from cause
            except httpx.TransportError as cause:
                raise unreachable(cause) from cause
            if response.status_code != 401 or last:
                break
            await self.renew(token)
        if response.is_success:
            return response
        raise errors.of_response(response)

    async def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        response = await self.send("POST", "/graphql", json={"query": query, "variables": variables})
        try:
            body = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise errors.UnavailableError("the answer is not one of GraphQL", code="bad_answer", status=502)
        if body.get("errors"):
            raise errors.of_graphql(body["errors"])
        data = body.get("data")
        return data if isinstance(data, dict) else {}

    def stream(self, token: str, path: str, headers: dict[str, str], silence: float) -> Any:
        """An event stream; the caller enters it. It ends after `silence` seconds without a byte."""
        return self._client.stream(
            "GET",
            self._address(path),
            headers=self._headers(token, headers),
            timeout=httpx.Timeout(self.timeout, read=silence, pool=None),
            follow_redirects=False,
        )


def _checked(token: str) -> str:
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ValueError("the session token holds characters that no token has")
    return token


def unreachable(cause: httpx.TransportError) -> errors.UnavailableError:
    return errors.UnavailableError(f"the gateway cannot be reached: {type(cause).__name__}", code="network")
