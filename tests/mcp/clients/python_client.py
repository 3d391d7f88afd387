"""The official Python SDK against the gateway: what to do comes as a JSON object, what happened goes out as lines."""

import asyncio
import html
import json
import re
import sys
import time
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp import Client, MCPError
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

ARGS = json.loads(sys.argv[1])
REDIRECT = "http://127.0.0.1:39999/callback"  # nobody listens there: the sign-in stops before it


def say(**fields):
    print(json.dumps(fields), flush=True)


def dump(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def told(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    code = error.error.code if isinstance(error, MCPError) else None
    return {"name": type(error).__name__, "message": str(error), "code": code}


class Storage:
    """Keeps what the client has found out, in memory."""

    def __init__(self):
        self.tokens, self.client = None, None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


def attributes(tag):
    return {name: html.unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}


class Person:
    """The browser and who sits before it."""

    def __init__(self, email="demo@example.com", password="demo"):
        self.fields, self.back, self.address = {"email": email, "password": password}, None, ""

    async def visit(self, address):
        self.address = address
        async with httpx2.AsyncClient() as browser:
            answer = await browser.get(address)
            for _ in range(8):
                if answer.has_redirect_location:
                    address = urljoin(address, answer.headers["location"])
                    if address.startswith(REDIRECT):
                        self.back = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
                        return
                    answer = await browser.get(address)
                    continue
                form = re.search(r"<form\b[^>]*>", answer.text)
                address = urljoin(address, attributes(form.group()).get("action", ""))
                fields = (attributes(tag) for tag in re.findall(r"<input\b[^>]*>", answer.text))
                filled = {f["name"]: self.fields.get(f["name"], f.get("value", "")) for f in fields if "name" in f}
                answer = await browser.post(address, data=filled)
        raise RuntimeError(f"the sign-in ends nowhere, last at {address}: {answer.status_code}")

    async def returned(self):
        return AuthorizationCodeResult(code=self.back["code"], state=self.back.get("state"), iss=self.back.get("iss"))


def http(requests, **more):
    """An HTTP client that notes what it asks for."""

    async def note(answer):
        request = answer.request
        entry = {"method": request.method, "path": request.url.path, "status": answer.status_code}
        if request.headers.get("content-type", "").startswith("application/json") and request.content[:1] == b"{":
            entry["rpc"] = json.loads(request.content).get("method")
        if "www-authenticate" in answer.headers:
            entry["challenge"] = answer.headers["www-authenticate"]
        requests.append(entry)

    return httpx2.AsyncClient(event_hooks={"response": [note]}, timeout=httpx2.Timeout(60), **more)


def connected(requests, token=None):
    headers = {"Authorization": f"Bearer {token or ARGS['token']}"}
    client = http(requests, headers=headers)
    return Client(streamable_http_client(ARGS["url"], http_client=client), mode=ARGS.get("mode", "auto"))


async def tour():
    """From a bare 401 to tool results, and once through everything that a client does."""
    requests, person, storage = [], Person(), Storage()
    metadata = OAuthClientMetadata(
        client_name="tests of the gateway", redirect_uris=[REDIRECT], token_endpoint_auth_method="none"
    )
    oauth = OAuthClientProvider(
        ARGS["url"], metadata, storage, redirect_handler=person.visit, callback_handler=person.returned
    )
    transport = streamable_http_client(ARGS["url"], http_client=http(requests, auth=oauth))
    async with Client(transport, mode=ARGS.get("mode", "auto")) as client:
        query = parse_qs(urlsplit(person.address).query)
        say(
            step="oauth", requests=list(requests), resource=query.get("resource", [None])[0],
            scope=query.get("scope", [None])[0], registered=bool(storage.client and storage.client.client_id),
            challenge=query.get("code_challenge_method", [None])[0],
        )
        say(
            step="version", version=client.protocol_version, capabilities=dump(client.server_capabilities),
            server=client.server_info and dump(client.server_info),
        )
        await everything(client, requests)
        oauth.context.current_tokens.access_token, oauth.context.token_expiry_time = ARGS["expired"], 1
        person.address = ""
        result = dump(await client.call_tool("demo__echo", {"text": "later"}))
        say(step="refreshed", result=result, again=bool(person.address))


async def tools(client):
    page = await client.list_tools()
    found = list(page.tools)
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        found += page.tools
    return [dump(tool) for tool in found]


async def everything(client, requests):
    found = await tools(client)
    say(
        step="tools", names=[tool["name"] for tool in found], pages=sum(r.get("rpc") == "tools/list" for r in requests),
        echo=next((tool for tool in found if tool["name"] == "demo__echo"), None),
    )
    say(step="echo", result=dump(await client.call_tool("demo__echo", {"text": "héllo"})))
    progress = []

    async def on_progress(done, total, message):
        progress.append({"progress": done, "total": total, "message": message})

    result = await client.call_tool("demo__progress", {"step_ms": 80}, progress_callback=on_progress)
    say(step="progress", result=dump(result), progress=progress)
    say(step="fail", result=dump(await client.call_tool("demo__fail", {})))
    try:
        medium = dump(await client.call_tool("demo__large", {"bytes": 600_000}))
        size = len("".join(part.get("text") or part.get("uri") for part in medium["content"]))
        say(step="medium", isError=medium.get("isError", False), size=size)
    except MCPError as error:
        say(step="medium", error=told(error))
    large = dump(await client.call_tool("demo__large", {"bytes": 2 << 20}))
    link = next((part for part in large["content"] if part["type"] == "resource_link"), None)
    size = None
    if link:
        size = len((await client.read_resource(link["uri"])).contents[0].text)
    say(step="large", link=link, isError=large.get("isError", False), size=size)
    resources = (await client.list_resources()).resources
    listed = [one for one in resources if str(one.uri).startswith("noetl://executions/")]
    contents = None
    if listed:
        contents = [dump(part) for part in (await client.read_resource(str(listed[0].uri))).contents]
    say(step="resources", count=len(listed), first=listed and dump(listed[0]), contents=contents)
    try:
        await client.call_tool("no__such__tool", {})
        say(step="unknown")
    except MCPError as error:
        say(step="unknown", error=told(error))


async def cancel():
    """A call that its client no longer wants."""
    async with connected([]) as client:
        running = asyncio.create_task(client.call_tool("demo__slow", {"seconds": 40}))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)  # the test has seen it run
        running.cancel()
        try:
            say(step="cancelled", result=dump(await running))
        except (asyncio.CancelledError, MCPError) as error:
            say(step="cancelled", error=told(error))


async def parallel():
    """Many calls of one client, concurrently; each result must be that of its own call."""
    async with connected([]) as client:

        async def right(n):
            result = dump(await client.call_tool("demo__echo", {"text": f"number {n}"}))
            return f'number {n}"' in json.dumps(result.get("structuredContent", result["content"]))

        every = await asyncio.gather(*(right(n) for n in range(ARGS["count"])), return_exceptions=True)
        wrong = [told(one) for one in every if one is not True and isinstance(one, BaseException)]
        say(step="parallel", right=sum(one is True for one in every), wrong=wrong[:3])


async def revoked():
    """A session that is ended while a call runs."""
    requests = []
    async with connected(requests) as client:
        begin = time.monotonic()
        try:
            say(step="ended", result=dump(await client.call_tool("demo__slow", {"seconds": 40})))
        except Exception as error:  # whatever this client makes of it
            say(step="ended", error=told(error), after=time.monotonic() - begin)
        try:
            say(step="next", result=dump(await client.call_tool("demo__echo", {})))
        except Exception as error:  # likewise
            say(step="next", error=told(error), status=requests[-1]["status"], challenge=requests[-1].get("challenge"))


try:
    asyncio.run({"tour": tour, "cancel": cancel, "parallel": parallel, "revoked": revoked}[ARGS["scenario"]]())
except BaseExceptionGroup as group:
    say(step="failed", error=told(group))
    raise
