"""A gateway in the memory of the test, for what a real one does seldom."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

CLIENT = "0b6a1f0e-8c54-4f0e-9d52-0a4b5f3ce0aa"


class _Body(httpx.AsyncByteStream):
    def __init__(self, queue: asyncio.Queue[str | None]) -> None:
        self._queue = queue

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (text := await self._queue.get()) is not None:
            yield text.encode()
        raise httpx.ReadError("cut")


class FakeGateway(httpx.AsyncBaseTransport):
    """on_start, on_execution and others decide; requests holds what came."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.sessions = {"token-1"}
        self.client = CLIENT
        self.pending: list[dict[str, str]] = []
        self.gap = False
        self.stream: asyncio.Queue[str | None] | None = None
        self.starts: list[str] = []
        self.number = 0
        self.on_start: Callable[[dict[str, Any]], Any] = lambda variables: {"executionId": "7"}
        self.executions: dict[str, dict[str, Any]] = {}
        self.cancelled: list[str] = []
        self.results: dict[str, Any] = {}
        self.subscriptions: dict[str, dict[str, str]] = {}
        self.on_subscribe: Callable[[str], Any] = lambda subscription_id: None

    def client_of(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self)

    def send(self, method: str, params: dict[str, Any]) -> None:
        self.number += 1
        frame = json.dumps({"jsonrpc": "2.0", "method": method, "params": params})
        assert self.stream is not None
        self.stream.put_nowait(f"id: e-{self.number}-{self.client}\nevent: {method}\ndata: {frame}\n\n")

    def cut(self) -> None:
        assert self.stream is not None
        self.stream.put_nowait(None)

    def result(self, request_id: str, data: Any, execution_id: str = "7") -> None:
        self.send(
            "playbook/result",
            {"requestId": request_id, "executionId": execution_id, "status": "COMPLETED", "data": data},
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.sessions:
            return httpx.Response(401, json={"error": "log in again", "code": "invalid_session"})
        path = request.url.path
        if path == "/events":
            return self._events()
        if path == "/graphql":
            return await self._graphql(json.loads(request.content))
        if path.endswith("/cancel"):
            self.cancelled.append(path.split("/")[3])
            return httpx.Response(200, json={"status": "cancelled"})
        if path.startswith("/api/subscriptions"):
            return self._subscriptions(request)
        if path.startswith("/api/results/"):
            return httpx.Response(200, json={"data": self.results[path.rsplit("/", 1)[1]]})
        return httpx.Response(404, json={"error": "unknown", "code": "not_found"})

    def _subscriptions(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"subscriptions": list(self.subscriptions.values())})
        if request.method == "DELETE":
            self.subscriptions.pop(request.url.path.rsplit("/", 1)[1], None)
            return httpx.Response(204)
        self.number += 1
        opened = {"subscription_id": f"s{self.number}", **json.loads(request.content)}
        self.subscriptions[opened["subscription_id"]] = opened
        answer = self.on_subscribe(opened["subscription_id"])
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(200, json=opened)

    def document(self, subscription_id: str, name: str, op: str) -> None:
        self.send(
            "subscription/event", {"subscription_id": subscription_id, "doc_id": name, "data": {"n": 1}, "op": op}
        )

    def _events(self) -> httpx.Response:
        self.stream = asyncio.Queue()
        result: dict[str, Any] = {"clientId": self.client, "capabilities": {"subscriptions": False}}
        if self.pending:
            result["pendingRequests"] = self.pending
        first = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result})
        self.stream.put_nowait(f"id: e-s0-{self.client}\nevent: message\ndata: {first}\n\n")
        if self.gap:
            self.send("gap", {"lastEventId": "x", "reason": "older frames are no longer kept"})
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=_Body(self.stream))

    async def _graphql(self, body: dict[str, Any]) -> httpx.Response:
        variables = body["variables"]
        if "execution(id" in body["query"]:
            return httpx.Response(200, json={"data": {"execution": self.executions.get(variables["id"])}})
        self.starts.append(variables["r"])
        answer = self.on_start(variables)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json={"data": {"started": answer}})


def refusal(kind: str, reason: str) -> httpx.Response:
    errors = [{"message": reason, "extensions": {"code": kind, "reason": reason}}]
    return httpx.Response(200, json={"data": None, "errors": errors})
