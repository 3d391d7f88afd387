from __future__ import annotations

import asyncio
import io
import logging
import unittest
from collections.abc import Callable
from typing import Any
from unittest import mock

import httpx

from fake import CLIENT, FakeGateway, refusal
from noetl_gateway_client import (
    DeniedError,
    ExpiredError,
    Gateway,
    GatewayError,
    Progress,
    Run,
    RunFailedError,
    RunTimeoutError,
    SyncGateway,
    UnavailableError,
)

CONFLICT = refusal("CONFLICT", "request_exists")


async def waited_for(run: Run) -> Any:
    return await run


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


class Runs(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.there = FakeGateway()
        for name in ("_dispatch.LATE", "_starts.GRACE", "_asking.ON_ITS_WAY"):
            patch = mock.patch("noetl_gateway_client." + name, 0.05)
            patch.start()
            self.addCleanup(patch.stop)
        patch = mock.patch("noetl_gateway_client._retry.CAP", 0.05)
        patch.start()
        self.addCleanup(patch.stop)

    def gateway(self, **options: Any) -> Gateway:
        if "get_session" not in options:
            options["session"] = "token-1"
        return Gateway("http://gateway.test", http_client=self.there.client_of(), **options)

    async def test_a_second_run_with_the_request_id_of_one_that_is_not_over(self) -> None:
        async with self.gateway() as gateway:
            first = gateway.run("demo/echo", request_id=CLIENT)
            with self.assertRaises(GatewayError) as caught:
                async with asyncio.timeout(30):
                    await gateway.run("demo/other", request_id=CLIENT)
            self.assertEqual((caught.exception.code, caught.exception.status), ("request_exists", 409))
            await first.started
            self.there.result(CLIENT, "of the first")
            async with asyncio.timeout(30):
                self.assertEqual(await first, "of the first")

    async def test_a_result_before_the_answer(self) -> None:
        seen = asyncio.Event()

        async def start(variables: dict[str, Any]) -> Any:
            self.there.send("playbook/state", {"execution_id": "7", "event_type": "step.enter", "status": "x"})
            self.there.result(variables["r"], {"n": 2**63})
            await seen.wait()
            return {"executionId": "7"}

        self.there.on_start = start
        async with self.gateway() as gateway:
            gateway.on("result", lambda _: seen.set())
            run = gateway.run("demo/echo")
            self.assertEqual(await run, {"n": 2**63})
            self.assertEqual([f.method async for f in run], ["playbook/state", "playbook/result"])
            self.assertEqual(await run.started, "7")

    async def test_a_lost_answer_starts_nothing_twice(self) -> None:
        answers: list[Any] = [httpx.ReadError("cut"), CONFLICT]

        def start(variables: dict[str, Any]) -> Any:
            self.there.pending = [{"requestId": variables["r"], "executionId": "8", "playbookPath": "demo/echo"}]
            return answers.pop(0)

        self.there.on_start = start
        async with self.gateway() as gateway:
            run = gateway.run("demo/echo")
            self.assertEqual(await run.started, "8")
            self.there.result(run.request_id, 1, "8")
            self.assertEqual(await run, 1)
        self.assertEqual(self.there.starts, [run.request_id] * 2)

    async def test_a_start_that_was_refused_meanwhile_is_said_again(self) -> None:
        answers: list[Any] = [httpx.ReadError("cut"), CONFLICT, refusal("NOT_FOUND", "noetl_404")]
        self.there.on_start = lambda _: answers.pop(0)
        async with self.gateway() as gateway:
            with self.assertRaises(GatewayError) as raised:
                await gateway.run("demo/none")
        self.assertEqual((raised.exception.code, raised.exception.status), ("noetl_404", 404))

    async def test_a_request_id_of_somebody_else_is_no_start(self) -> None:
        self.there.on_start = lambda _: CONFLICT
        async with self.gateway() as gateway:
            with self.assertRaises(GatewayError) as raised:
                await gateway.run("demo/echo", request_id="0b6a1f0e-8c54-4f0e-9d52-0a4b5f3ce0ab")
        self.assertEqual(raised.exception.code, "request_exists")

    async def test_retry_after_is_kept(self) -> None:
        answers: list[Any] = [
            httpx.Response(503, headers={"Retry-After": "1"}, json={"error": "busy", "code": "busy"}),
            {"executionId": "7"},
        ]
        self.there.on_start = lambda _: answers.pop(0)
        async with self.gateway() as gateway:
            began = asyncio.get_running_loop().time()
            await gateway.run("demo/echo").started
            self.assertGreaterEqual(asyncio.get_running_loop().time() - began, 0.99)

    async def test_it_resumes_where_it_was(self) -> None:
        async with self.gateway() as gateway:
            run = gateway.run("demo/echo")
            await run.started
            self.there.send("playbook/progress", {"requestId": run.request_id, "executionId": "7", "progress": 0.5})
            await until(lambda: run._count == 1)
            self.there.pending = [{"requestId": run.request_id, "executionId": "7", "playbookPath": ""}]
            self.there.cut()
            await until(lambda: sum(r.url.path == "/events" for r in self.there.requests) == 2)
            again = [r for r in self.there.requests if r.url.path == "/events"][1]
            self.assertEqual(again.headers["Last-Event-ID"], f"e-1-{self.there.client}")
            self.there.result(run.request_id, "late")
            self.assertEqual(await run, "late")

    async def test_what_ended_in_a_gap_is_asked_for(self) -> None:
        async with self.gateway() as gateway:
            gaps: list[Any] = []
            gateway.on("gap", gaps.append)
            run = gateway.run("demo/echo")
            await run.started
            over = {"executionId": "7", "status": "COMPLETED", "completed": True, "failed": False, "result": [1]}
            self.there.executions["7"] = over
            self.there.gap = True
            self.there.cut()
            self.assertEqual(await run, [1])
            self.assertEqual(len(gaps), 1)

    async def test_runs_of_a_client_that_is_lost_are_asked_for(self) -> None:
        async with self.gateway() as gateway:
            run = gateway.run("demo/echo")
            await run.started
            self.there.executions["7"] = {"executionId": "7", "completed": False, "failed": False}
            self.there.client = "another"
            self.there.cut()
            await until(lambda: sum(b"execution(id" in r.content for r in self.there.requests) > 1)
            self.there.executions["7"] = {"executionId": "7", "completed": False, "failed": True, "error": "broke"}
            with self.assertRaises(RunFailedError) as raised:
                await run
        self.assertEqual(str(raised.exception), "broke")

    async def test_a_run_that_is_pending_no_longer_is_asked_for(self) -> None:
        async with self.gateway() as gateway:
            run = gateway.run("demo/echo")
            await run.started
            self.there.executions["7"] = {"executionId": "7", "status": "CANCELLED", "completed": True}
            self.there.cut()
            with self.assertRaises(RunFailedError) as raised:
                await run
        self.assertEqual(raised.exception.code, "cancelled")

    async def test_a_large_result_is_fetched_from_this_gateway(self) -> None:
        async with self.gateway() as gateway:
            run = gateway.run("demo/large")
            await run.started
            self.there.results[run.request_id] = "large"
            error = {"code": -32603, "message": "x", "data": {"code": "result_too_large", "url": "http://evil.test/"}}
            self.there.send(
                "playbook/result",
                {"requestId": run.request_id, "executionId": "7", "status": "COMPLETED", "error": error},
            )
            self.assertEqual(await run, "large")
        self.assertEqual({r.url.host for r in self.there.requests}, {"gateway.test"})

    async def test_a_session_that_expires_is_renewed_once_for_all(self) -> None:
        asked: list[str] = []

        async def get_session(why: str) -> str:
            asked.append(why)
            await asyncio.sleep(0.05)
            return f"token-{len(asked)}"

        async with self.gateway(get_session=get_session) as gateway:
            run = gateway.run("demo/echo")
            await run.started
            self.there.sessions = {"token-2"}
            self.there.send("session/expired", {"reason": "expired"})
            answers = await asyncio.gather(*(gateway.execution(str(i)) for i in range(10)))
            self.assertEqual(answers, [None] * 10)
            await until(lambda: sum(r.url.path == "/events" for r in self.there.requests) >= 2)
            await until(lambda: gateway.state == "live")
            self.there.result(run.request_id, "renewed")
            self.assertEqual(await run, "renewed")
        self.assertEqual(asked, ["start", "expired"])

    async def test_a_session_that_is_not_renewed_ends_all(self) -> None:
        async with self.gateway() as gateway:
            told: list[Any] = []
            gateway.on("expired", told.append)
            run = gateway.run("demo/echo")
            await run.started
            self.there.sessions = set()
            self.there.send("session/expired", {"reason": "revoked"})
            with self.assertRaises(ExpiredError):
                await run
            self.assertEqual((gateway.state, len(told)), ("expired", 1))
            with self.assertRaises(ExpiredError):
                await gateway.run("demo/echo")
        with self.assertRaises(ExpiredError):
            await self.gateway().connect()

    async def test_cancelling_the_task_leaves_the_execution_running(self) -> None:
        async with self.gateway() as gateway:
            left = gateway.run("demo/slow")
            await left.started
            self.there.on_start = lambda _: {"executionId": "8"}
            told = gateway.run("demo/slow", cancel_with_task=True)
            await told.started
            for run in (left, told):
                awaiting = asyncio.ensure_future(waited_for(run))
                await asyncio.sleep(0)  # it runs until it waits
                awaiting.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await awaiting
        # Closing waits for the cancellation that was asked for.
        self.assertEqual(self.there.cancelled, ["8"])

    async def test_a_timeout_cancels_also_what_has_not_started_yet(self) -> None:
        for late in (False, True):
            over = asyncio.Event()

            async def start(_: Any, late: bool = late, over: asyncio.Event = over) -> Any:
                if late:
                    await over.wait()
                return {"executionId": "7"}

            self.there.on_start = start
            self.there.cancelled.clear()
            async with self.gateway() as gateway:
                run = gateway.run("demo/slow", timeout=1 if not late else 0.05)
                if not late:
                    await run.started
                with self.assertRaises(RunTimeoutError):
                    await run
                over.set()
            self.assertEqual(self.there.cancelled, ["7"], "close waits for the cancellation")

    async def test_a_handler_that_fails_breaks_nothing(self) -> None:
        def broken(_: Progress) -> None:
            raise RuntimeError("mine")

        async with self.gateway() as gateway:
            with self.assertLogs("noetl_gateway_client", logging.ERROR):
                run = gateway.run("demo/echo", on_progress=broken)
                await run.started
                self.there.send("playbook/progress", {"requestId": run.request_id, "executionId": "7", "progress": 1})
                self.there.result(run.request_id, 1)
                self.assertEqual(await run, 1)

    async def test_close_ends_runs(self) -> None:
        async with self.gateway() as gateway:
            run = gateway.run("demo/echo")
            await run.started
        with self.assertRaises(GatewayError) as raised:
            await run
        self.assertEqual((raised.exception.code, self.there.cancelled), ("closed", []))

    async def test_variables_that_are_no_json(self) -> None:
        async with self.gateway() as gateway:
            with self.assertRaises(GatewayError) as raised:
                await gateway.run("demo/echo", {"x": object()})
        self.assertEqual(raised.exception.code, "bad_arguments")

    async def test_a_wrong_address_is_told_immediately(self) -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(404)))
        with self.assertRaises(GatewayError) as raised:
            await Gateway("http://other.test", session="token-1", http_client=client).connect()
        self.assertEqual(raised.exception.status, 404)

    async def test_nobody_there(self) -> None:
        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        client = httpx.AsyncClient(transport=httpx.MockTransport(refuse))
        gateway = Gateway("http://other.test", session="token-1", timeout=0.3, http_client=client)
        with self.assertRaises(UnavailableError):
            await gateway.connect()


    async def test_errors_have_the_classes_of_the_contract(self) -> None:
        async with self.gateway() as gateway:
            for number, kind, word, status in (
                (-32000, RunFailedError, "playbook_failed", 0),
                (-32001, RunTimeoutError, "timeout", 504),
                (-32002, ExpiredError, "session_expired", 401),
                (-32003, DeniedError, "denied", 403),
            ):
                for data, code in ((None, word), ({"code": "said"}, "said")):
                    run = gateway.run("demo/fail")
                    await run.started
                    error = {"code": number, "message": "no", "data": data}
                    self.there.send(
                        "playbook/result",
                        {"requestId": run.request_id, "executionId": "7", "status": "FAILED", "error": error},
                    )
                    with self.assertRaises(kind) as raised:
                        await run
                    self.assertEqual((raised.exception.code, raised.exception.status), (code, status))

    async def test_cancelling_what_never_started_does_nothing(self) -> None:
        self.there.on_start = lambda _: refusal("NOT_FOUND", "noetl_404")
        async with self.gateway() as gateway:
            run = gateway.run("demo/none")
            await run.cancel()
            with self.assertRaises(GatewayError):
                await run


class Secrets(unittest.IsolatedAsyncioTestCase):
    async def test_the_token_is_told_to_the_gateway_only(self) -> None:
        secret = "token-of-nobody"
        there = FakeGateway()
        there.sessions = {secret}
        text = io.StringIO()
        handler = logging.StreamHandler(text)
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        self.addCleanup(root.setLevel, level)
        self.addCleanup(root.removeHandler, handler)
        async with Gateway("http://gateway.test", session=secret, http_client=there.client_of()) as gateway:
            run = gateway.run("demo/echo")
            await run.started
            text.write(repr(gateway) + repr(run) + str(vars(run)))
            there.sessions = set()
            try:
                await gateway.execution("1")
            except GatewayError as error:
                text.write(repr(error) + repr(vars(error)))
        self.assertIn("/events", text.getvalue())
        self.assertNotIn(secret, text.getvalue())
        self.assertNotIn(secret, "".join(str(r.url) for r in there.requests))

    async def test_a_bad_token_is_not_repeated(self) -> None:
        for token in ("secret\r\nX: y", "", "sécret", "secret secret"):
            with self.assertRaises(ValueError) as raised:
                Gateway("http://gateway.test", session=token)
            self.assertNotIn("cret", str(raised.exception))

    async def test_the_session_goes_to_this_gateway_only(self) -> None:
        there = FakeGateway()
        async with Gateway("http://gateway.test/", session="token-1", http_client=there.client_of()) as gateway:
            for path in ("@evil.test/", "http://evil.test/", ""):
                with self.assertRaises(ValueError):
                    await gateway.request("GET", path)
            with self.assertRaises(ValueError):
                await gateway.cancel("../../x")
        for url in ("ftp://x", "http://user:pw@x", "x", "http://x/?session=1"):
            with self.assertRaises(ValueError):
                Gateway(url, session="token-1")


class WithoutAsyncio(unittest.TestCase):
    def test_it_ends_its_thread_when_it_cannot_connect(self) -> None:
        def refuse(request: httpx.Request) -> httpx.Response:
            return httpx.Response(401, json={"error": "log in", "code": "invalid_session"})

        client = httpx.AsyncClient(transport=httpx.MockTransport(refuse))
        with self.assertRaises(ExpiredError):
            with SyncGateway("http://gateway.test", session="token-1", http_client=client):
                self.fail("it is connected")
        import threading

        self.assertNotIn("noetl-gateway-client", [t.name for t in threading.enumerate()])


if __name__ == "__main__":
    unittest.main()
