"""Which frame is whose, and what is asked when frames are gone."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx

from . import errors
from ._asking import cancelled, poll
from ._http import GetSession, Http
from ._retry import backoff
from ._starts import start
from ._stream import Stream
from ._subscriptions import Subscriptions
from .models import Capabilities, Execution, Frame, PendingRequest, PlaybookState, Progress, State
from .run import Run, call
from .subscription import Subscription

log = logging.getLogger("noetl_gateway_client")

EXECUTION = """query Execution($id: String!) {
  execution(id: $id) { executionId status path completed failed result error } }"""

LATE = 5.0  # how long a result may come after the execution's last event, before it is asked for
STARTS = 16  # concurrent starts; those beyond wait
# The gateway knows a request for 30 min by default: a run that takes longer is asked for.
FORGOTTEN = 25 * 60.0
ASKS = 4  # concurrent questions and downloads: the gateway grants a session four
EARLY = 10_000  # frames that are kept until it is known whose they are
DOWNLOAD_TRIES = 10
LISTED = 100  # the gateway lists the newest 100 pending requests


class Dispatch:
    def __init__(
        self,
        url: str,
        session: str | None,
        get_session: GetSession | None,
        timeout: float,
        client: httpx.AsyncClient | None,
    ) -> None:
        self._http = Http(url, session, get_session, timeout, client)
        self._stream = Stream(self._http, self._first, self._frame, self._set_state, self._failed)
        self._state: State = "connecting"
        self._capabilities: Capabilities | None = None
        self._handlers: dict[str, list[Callable[[Any], object]]] = {}
        self._runs: dict[str, Run] = {}
        self._executions: dict[str, Run] = {}
        self._early: deque[Frame] = deque(maxlen=EARLY)
        self._pending: set[str] = set()
        self._asked = False
        self._subscriptions = Subscriptions(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._finishing: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._ended: errors.GatewayError | None = None
        self._last_error: errors.GatewayError | None = None
        self._starts = asyncio.Semaphore(STARTS)
        self._asks = asyncio.Semaphore(ASKS)

    # ---- life

    def _open(self) -> None:
        if self._reading is not None or self._ended is not None:
            raise RuntimeError("a gateway is connected once; make another one")
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            try:
                await self._stream.run()
            except (errors.GatewayError, asyncio.CancelledError):
                raise
            except Exception as cause:
                log.exception("the event stream cannot go on")
                raise errors.GatewayError("the event stream cannot go on", code="internal") from cause
        except errors.GatewayError as error:
            self._end(error, "expired" if isinstance(error, errors.ExpiredError) else "closed")
            if isinstance(error, errors.ExpiredError):
                self._emit("expired", error)

    def _end(self, error: errors.GatewayError, state: State) -> None:
        if self._ended is not None:
            return
        self._ended = error
        self._set_state(state)
        for run in list(self._runs.values()):
            run.fail_start(errors.copy(error, run))
        self._runs.clear()
        self._executions.clear()
        self._subscriptions.end(error)
        self._change()

    async def _close(self) -> None:
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=5.0)
        tasks = [t for t in (*self._tasks, self._reading) if t is not None and t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._end(errors.GatewayError("the gateway was closed", code="closed"), "closed")
        self._set_state("closed")
        await self._http.aclose()

    def spawn(self, work: Awaitable[None], *, finish: bool = False) -> None:
        """Runs work beside; close waits for what is to finish. For the parts of this package."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(_logged)
        for kept in (self._tasks, self._finishing) if finish else (self._tasks,):
            kept.add(task)
            task.add_done_callback(kept.discard)

    def _set_state(self, state: State) -> None:
        if state != self._state and self._state not in ("closed",):
            self._state = state
            self._emit("state", state)
            self._change()

    def _failed(self, error: errors.GatewayError) -> None:
        self._last_error = error
        self._emit("error", error)

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _emit(self, event: str, value: Any) -> None:
        for handler in list(self._handlers.get(event, ())):
            call(self, handler, value)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._ended is not None:
                raise errors.copy(self._ended, None)
            await self._changed.wait()

    async def _live(self) -> None:
        await self._until(lambda: self._state == "live")

    async def client(self) -> str:
        """The client id; waits for the first frame."""
        await self._until(lambda: self._stream.client_id is not None)
        assert self._stream.client_id is not None
        return self._stream.client_id

    def forget(self, client_id: str) -> None:
        """The gateway does not know the client: comes as a new one."""
        if self._stream.client_id == client_id:
            self._stream.forget()

    async def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        return await self._http.graphql(query, variables)

    async def ask_pending(self) -> set[str]:
        """Reconnects, and returns the ids of the requests that are pending."""
        seen = self._stream.connections
        if not self._asked:  # many starts that were lost in one moment ask once
            self._asked = True
            self._stream.reconnect()
        await self._until(lambda: self._stream.connections > seen)
        return self._pending

    async def wait(self, run: Run, seconds: float) -> None:
        """Waits until the run has ended or its execution is known, but no longer than seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._until(lambda: run.done or run.execution_id is not None)
        except TimeoutError:
            pass

    # ---- runs

    def _start(self, run: Run, query: str, arguments: dict[str, Any], timeout: float | None) -> None:
        if self._reading is None:
            raise RuntimeError("the gateway is not connected: use it with async with, or await connect()")
        if self._ended is not None:
            run.fail_start(errors.copy(self._ended, run))
            return
        if run.request_id in self._runs:  # one of the two would never hear of its result
            taken = errors.GatewayError("a run with this request id is not over", code="request_exists", status=409)
            run.fail_start(errors.copy(taken, run))
            return
        self._runs[run.request_id] = run
        run.when_done(lambda: self._done(run))
        if timeout is not None:
            run.limit(timeout)
        self.spawn(self._begin(run, query, arguments))

    async def _begin(self, run: Run, query: str, arguments: dict[str, Any]) -> None:
        try:
            async with self._starts:
                await start(self, run, query, arguments)
        except errors.GatewayError as refused:
            run.fail_start(refused)
        except Exception as cause:  # variables that are no JSON, say: it is the caller's to see
            broken = errors.GatewayError(f"the run could not be started: {cause}", code="bad_arguments")
            broken.__cause__ = cause
            run.fail_start(broken)
        if run.done:
            self._drop(run)

    def bind(self, run: Run, execution_id: str) -> None:
        """The execution of a run is known: gives it the states that came before."""
        if run.execution_id is not None or not execution_id:
            return
        run.bind(execution_id)
        self._change()
        if run.done:
            return
        self._executions[execution_id] = run
        timer = asyncio.get_running_loop().call_later(FORGOTTEN, self._poll_later, run, 0.0)
        run.when_done(timer.cancel)
        early, self._early = self._early, deque(maxlen=EARLY)
        for frame in early:
            if frame.params.get("execution_id") == execution_id:
                self._state_frame(run, frame)
            elif any(r.execution_id is None for r in self._runs.values()):
                self._early.append(frame)
        if run.client_id != self._stream.client_id:
            self._poll_later(run, 0.0)

    def _done(self, run: Run) -> None:
        if not run.starting:  # else _begin is not through
            self._drop(run)
        self._change()

    def _drop(self, run: Run) -> None:
        self._runs.pop(run.request_id, None)
        if run.execution_id is not None:
            self._executions.pop(run.execution_id, None)
        self._change()

    # ---- frames

    def _first(self, first: dict[str, Any]) -> None:
        self._asked = False
        has = first.get("capabilities")
        has = has if isinstance(has, dict) else {}
        self._capabilities = Capabilities(
            has.get("subscriptions") is True, tuple(str(s) for s in has.get("subscriptionSources", ()))
        )
        pending = [PendingRequest.of(entry) for entry in first.get("pendingRequests") or ()]
        self._pending = {p.request_id for p in pending}
        for entry in pending:
            run = self._runs.get(entry.request_id)
            if run is not None:
                self.bind(run, entry.execution_id)
        for run in list(self._runs.values()):
            if run.client_id is None:
                continue
            if run.client_id != self._stream.client_id:
                self._poll_later(run, 0.0)  # its frames go to a client that is not ours any more
            elif run.request_id not in self._pending:
                # Its result is among what comes now. If not, it is asked for.
                if run.execution_id is not None and len(pending) < LISTED:
                    self._poll_later(run, LATE)
                else:
                    self.spawn(poll(self, run, LATE, once=True))
        self._subscriptions.connected(self._stream.client_id or "")
        self._change()
        if self._stream.connections > 1 or pending:
            self._emit("pending", pending)

    def _frame(self, frame: Frame) -> None:
        self._emit("frame", frame)
        params = frame.params
        if frame.method == "playbook/state":
            self._emit("playbook", PlaybookState.of(params))
            run = self._executions.get(str(params.get("execution_id")))
            if run is not None:
                self._state_frame(run, frame)
            elif any(r.execution_id is None for r in self._runs.values()):
                self._early.append(frame)
        elif frame.method in ("playbook/progress", "playbook/result"):
            run = self._runs.get(str(params.get("requestId")))
            if run is not None:
                self.bind(run, str(params.get("executionId") or ""))
                run.take(frame)
            if frame.method == "playbook/progress":
                self._emit("progress", Progress.of(params))
                return
            self._emit("result", dict(params))
            if run is not None:
                self._result(run, params)
        elif frame.method in ("subscription/event", "subscription/ended"):
            self._subscriptions.take(frame)
        elif frame.method == "gap":
            self._emit("gap", dict(params))
            for run in list(self._runs.values()):
                if run.client_id is not None:
                    self._ask_later(run)
            self._subscriptions.gap()

    def _state_frame(self, run: Run, frame: Frame) -> None:
        run.take(frame)
        state = PlaybookState.of(frame.params)
        if state.event_type == "playbook.cancelled":
            self.settle(run, cancelled(run))
        elif state.over:
            self._poll_later(run, LATE)

    def _result(self, run: Run, params: Any) -> None:
        error = params.get("error")
        data = error.get("data") if isinstance(error, dict) else None
        if isinstance(data, dict) and data.get("code") == "result_too_large" and data.get("url"):
            self.spawn(self._download(run))
        elif error is not None or str(params.get("status")).upper() == "FAILED":
            self.settle(run, errors.of_frame(params, run.request_id, run.execution_id))
        else:
            run.succeed(params.get("data"))
            self._drop(run)

    def settle(self, run: Run, error: errors.GatewayError) -> None:
        run.fail(error)
        self._drop(run)

    async def _download(self, run: Run) -> None:
        """Fetches a result that no frame holds. The address is ours: a frame could name another host."""
        attempt = 0
        while not run.done:
            try:
                async with self._asks:
                    response = await self._http.send(
                        "GET", "/api/results/" + quote(run.request_id, safe=""), large=True
                    )
                body = response.json()
                run.succeed(body.get("data") if isinstance(body, dict) else None)
                break
            except errors.GatewayError as error:
                if error.status not in (0, 429, 502, 503, 504) or attempt + 1 >= DOWNLOAD_TRIES:
                    run.fail(errors.copy(error, run))
                    break
                await asyncio.sleep(max(error.wait, backoff(attempt)))
                attempt += 1
            except ValueError:
                run.fail(errors.GatewayError("the result is not JSON", code="result_unreadable"))
                break
        self._drop(run)

    async def ask(self, execution_id: str) -> Execution | None:
        async with self._asks:
            data = await self._http.graphql(EXECUTION, {"id": execution_id})
        fields = data.get("execution")
        return Execution.of(fields) if isinstance(fields, dict) else None

    def _ask_later(self, run: Run) -> None:
        """Asks now whether the execution is over."""
        self.spawn(poll(self, run, 0.0, once=True))

    def _poll_later(self, run: Run, seconds: float) -> None:
        """Asks from then on until it is."""
        if not run.polled:
            run.polled = True
            self.spawn(poll(self, run, seconds, once=False))

    async def finished(self, run: Run, seconds: float) -> None:
        """Waits until the run has ended, but no longer than seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._until(lambda: run.done)
        except TimeoutError:
            pass

    # ---- subscriptions

    def _subscribe(self, subscription: Subscription[Any]) -> Subscription[Any]:
        if self._reading is None:
            raise RuntimeError("the gateway is not connected: use it with async with, or await connect()")
        self._subscriptions.add(subscription)
        return subscription

    async def _unsubscribe(self, subscription: Subscription[Any]) -> None:
        await self._subscriptions.close(subscription)

    @property
    def http(self) -> Http:
        return self._http

    @property
    def ended(self) -> errors.GatewayError | None:
        return self._ended


def _logged(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a task of the client failed", exc_info=error)
