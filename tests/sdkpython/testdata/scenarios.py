"""What the tests of this folder have the Python client do. Each prints lines of JSON."""

import asyncio
import json
import sys
import time

import httpx

from noetl_gateway_client import ExpiredError, Gateway, GatewayError, RunFailedError, SyncGateway


def say(**fields):
    print(json.dumps(fields), flush=True)


def seen(frames):
    """The frames of a run, those of a kind in their order."""
    return {
        "progress": [f.params["step"] for f in frames if f.method == "playbook/progress"],
        "states": [
            f"{f.params['event_type']} {f.params['step_name']}" for f in frames if f.method == "playbook/state"
        ],
        "last": frames[-1].method if frames else "",
    }


async def one(url, session, playbook, variables):
    """A run over an address of its own."""
    async with Gateway(url, session=session, timeout=60) as gateway:
        run = gateway.run(playbook, variables)
        frames = [frame async for frame in run]
        say(result=await run, execution=run.execution_id, **seen(frames))


async def reported(url, session, playbook, variables):
    """A run that says its first progress when it comes."""
    async with Gateway(url, session=session, timeout=60) as gateway:
        run = gateway.run(playbook, variables)
        frames = []
        async for frame in run:
            if frame.method == "playbook/progress" and not seen(frames)["progress"]:
                say(first=frame.params["step"])
            frames.append(frame)
        say(result=await run, **seen(frames))


async def all_of(urls, session, playbook, variables):
    """One run over each address, a few concurrently."""
    few = asyncio.Semaphore(8)

    async def bounded(url):
        async with few:
            await one(url, session, playbook, variables)

    await asyncio.gather(*(bounded(url) for url in urls))


async def many(url, session, count):
    async with Gateway(url, session=session) as gateway:
        runs = [gateway.run("demo/echo", {"n": n}) for n in range(count)]
        results = await asyncio.gather(*runs)
        say(
            right=sum(result == {"n": n} for n, result in enumerate(results)),
            executions=len({run.execution_id for run in runs}),
            left=len(gateway._runs) + len(gateway._executions) + len(gateway._early),
        )


async def login(client, url, issuer, user="demo@example.com"):
    form = {"grant_type": "password", "username": user, "password": "demo"}
    token = (await client.post(issuer + "/token", data=form)).json()["id_token"]
    answer = await client.post(url + "/api/auth/login", json={"auth0_token": token})
    return answer.json()["session_token"]


async def expiry(url, issuer):
    """A session that ends during a run, once renewed and once not."""
    async with httpx.AsyncClient(timeout=60) as client:
        asked = []
        sessions = []

        async def get_session(why):
            asked.append(why)
            sessions.append(await login(client, url, issuer))
            return sessions[-1]

        async with Gateway(url, get_session=get_session) as gateway:
            first = gateway.client_id
            run = gateway.run("demo/slow", {"seconds": 4})
            await run.started
            await client.post(url + "/api/auth/logout", headers={"Authorization": "Bearer " + sessions[0]})
            say(result=await run, asked=asked, same=gateway.client_id == first, state=gateway.state)
        session = await login(client, url, issuer)
        async with Gateway(url, session=session) as gateway:
            run = gateway.run("demo/slow", {"seconds": 60})
            await run.started
            await client.post(url + "/api/auth/logout", headers={"Authorization": "Bearer " + session})
            try:
                await run
            except ExpiredError as error:
                say(error=type(error).__name__, state=gateway.state)


async def cancelling(url, session):
    async with Gateway(url, session=session) as gateway:
        left = gateway.run("demo/slow", {"seconds": 60})
        told = gateway.run("demo/slow", {"seconds": 60}, cancel_with_task=True)
        for run in (left, told):
            await run.started
            task = asyncio.ensure_future(wait(run))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        try:
            await told
        except RunFailedError as error:
            say(told=error.code)
        there = await gateway.execution(left.execution_id)
        say(left=there.over)
        await left.cancel()
        try:
            await left
        except RunFailedError as error:
            say(left=error.code)
        limited = gateway.run("demo/slow", {"seconds": 60}, timeout=1)
        try:
            await limited
        except GatewayError as error:
            say(limited=type(error).__name__, execution=error.execution_id)


async def wait(run):
    return await run


async def surface(url, session, viewer):
    async with Gateway(url, session=session) as gateway:
        large = await gateway.run("demo/large", {"bytes": 9_000_000})
        say(large=len(json.dumps(large)))
        silent = gateway.run("demo/silent", {"step_ms": 10})
        await silent
        say(silent=(await gateway.execution(silent.execution_id)).completed)
        try:
            await gateway.run("demo/fail")
        except RunFailedError as error:
            say(fail=error.code, message=str(error))
        again = await gateway.rerun(silent.execution_id)
        say(rerun=again is None or isinstance(again, dict))
        say(follow=[state.event_type async for state in gateway.follow(silent.execution_id)][-1])
        board = "demo/board", {"board": "python", "cards": 9, "delay_ms": 20}
        await gateway.run(*board)
        async with gateway.subscribe("boards/python/cards", source="kv") as cards:
            await cards.id
            await gateway.run(*board)
            ops = set()
            async for event in cards:
                ops.add(event.op)
                if event.op == "removed":
                    break
            say(ops=sorted(ops))
        health = await gateway.request("POST", "/graphql", json={"query": "{ health }"})
        say(health=health.json()["data"]["health"])
    async with Gateway(url, session=viewer) as gateway:
        try:
            await gateway.run("demo/fail")
        except GatewayError as error:
            say(denied=type(error).__name__, code=error.code)


def synchronous(url, session):
    with SyncGateway(url, session=session) as gateway:
        say(result=gateway.run("demo/echo", {"text": "hello"}))
        run = gateway.start("demo/progress", {"step_ms": 20})
        say(**seen(list(run)))
        run = gateway.start("demo/slow", {"seconds": 60})
        execution = run.started()
        run.cancel()
        try:
            run.result()
        except RunFailedError as error:
            say(cancelled=error.code, over=gateway.execution(execution).over)
        say(follow=[s.event_type for s in gateway.follow(execution)][-1])
    began = time.monotonic()
    try:
        SyncGateway("http://127.0.0.1:9", session="x", timeout=0.5).__enter__()
    except GatewayError as error:
        say(nobody=type(error).__name__, soon=time.monotonic() - began < 60)


if __name__ == "__main__":
    asked = json.loads(sys.argv[2])
    work = globals()[sys.argv[1]](*asked)
    if asyncio.iscoroutine(work):
        asyncio.run(work)
