"""A synchronous client for ComfyUI's HTTP and websocket interface."""

import asyncio
import json
import struct
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field

import aiohttp

REQUEST_SECONDS = 120
# The first four bytes of a binary frame say what it is: these two are preview images, the rest is text.
PREVIEW_FRAMES = (1, 4)

# Requests to this machine must not go through a proxy that the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Run:
    """What one prompt did: `executed` lists the nodes that really ran, in order; `outputs` maps nodes to their ui."""

    prompt_id: str = ""
    executed: list = field(default_factory=list)
    cached: list = field(default_factory=list)
    outputs: dict = field(default_factory=dict)
    events: list = field(default_factory=list)
    previews: int = 0
    node_errors: dict = field(default_factory=dict)


class PromptRejected(Exception):
    """ComfyUI refused a prompt; `body` is its whole answer."""

    def __init__(self, message, body):
        super().__init__(message)
        self.message = message
        self.body = body


class ExecutionFailed(Exception):
    """A node raised; `run` holds what happened until then."""

    def __init__(self, data, run):
        self.message = str(data.get("exception_message", "")).strip()
        super().__init__(self.message)
        self.node_id = data.get("node_id")
        self.node_type = data.get("node_type")
        self.exception_type = data.get("exception_type")
        self.traceback = "".join(data.get("traceback") or ())
        self.run = run


class Interrupted(Exception):
    """The prompt was interrupted; `run` holds what happened until then."""

    def __init__(self, data, run):
        super().__init__(f"{data.get('node_type')} was interrupted.")
        self.node_id = data.get("node_id")
        self.node_type = data.get("node_type")
        self.run = run


class ConnectionClosed(Exception):
    """ComfyUI could not be reached, or closed the websocket before the prompt was finished."""


def rejection_text(body):
    """Return one line that says why ComfyUI refused a prompt, from the body of its answer."""
    parts = node_error_texts(body.get("node_errors") or {})
    if not parts:
        error = body.get("error") or {}
        parts = [_message_and_details(error) if isinstance(error, dict) else str(error)]
    return "; ".join(parts) or "ComfyUI refused the workflow without saying why."


def node_error_texts(node_errors):
    """Return a line for each input error in a `node_errors` object of ComfyUI."""
    return [
        f"{node.get('class_type', node_id)}: {_message_and_details(error)}"
        for node_id, node in node_errors.items()
        for error in node.get("errors", ())
    ]


def _message_and_details(error):
    parts = [(error.get(name) or "").strip() for name in ("message", "details")]
    # The second follows after a colon, so a full stop between them would read oddly.
    parts[0] = parts[0].rstrip(".") if parts[1] else parts[0]
    return ": ".join(part for part in parts if part)


class ComfyClient:
    """Talks to the server at `url`. Its calls block; those over HTTP raise urllib.error.URLError when it is gone."""

    def __init__(self, url):
        self.url = url.rstrip("/")
        self.client_id = uuid.uuid4().hex

    def object_info(self, node=None):
        """Return the schemas of all nodes by id, or that of one `node` (KeyError when there is none)."""
        if node is None:
            return self._json("/object_info")
        return self._json("/object_info/" + urllib.parse.quote(node))[node]

    def queue(self, prompt):
        """Queue a workflow in API form and return its prompt id; raises PromptRejected."""
        return self._queue(prompt)["prompt_id"]

    def run(self, prompt, on_event=None, timeout=600.0):
        """Queue a workflow in API form, wait for its end and return a Run.

        `on_event(type, data)` sees every event of this prompt as it arrives and may call `interrupt`.
        Raises PromptRejected, ExecutionFailed, Interrupted, ConnectionClosed, or TimeoutError (the prompt is then
        interrupted too).
        """
        try:
            return asyncio.run(self._run_within(timeout, prompt, on_event))
        except aiohttp.ClientError as error:
            raise ConnectionClosed(f"ComfyUI does not answer: {error}.") from None

    def interrupt(self):
        """Interrupt what runs now, if anything does."""
        self._post("/interrupt", {})

    def free(self):
        """Ask the server to unload models and forget cached results; it does so when idle."""
        self._post("/free", {"unload_models": True, "free_memory": True})

    def view(self, file):
        """Return the bytes of a file that a node's ui output names (`filename`, `subfolder`, `type`)."""
        names = {name: file[name] for name in ("filename", "subfolder", "type") if file.get(name)}
        return self._get("/view?" + urllib.parse.urlencode(names))

    def history(self, prompt_id):
        """Return what the server remembers of a finished prompt (KeyError when nothing)."""
        return self._json("/history/" + prompt_id)[prompt_id]

    async def _run_within(self, timeout, prompt, on_event):
        task = asyncio.create_task(self._run(prompt, on_event))
        finished, _ = await asyncio.wait({task}, timeout=timeout)
        if not finished:
            task.cancel()
            self.interrupt()
            raise TimeoutError(f"The workflow did not finish within {timeout:g} s.")
        return task.result()

    async def _run(self, prompt, on_event):
        session_options = {"timeout": aiohttp.ClientTimeout(total=None, connect=REQUEST_SECONDS)}
        address = f"{self.url}/ws?clientId={self.client_id}"
        async with (
            aiohttp.ClientSession(**session_options) as session,
            session.ws_connect(address, max_msg_size=0) as socket,
        ):
            # The first message says that the server knows this client; earlier events would be lost.
            await socket.receive()
            answer = self._queue(prompt)
            run = Run(answer["prompt_id"], node_errors=answer.get("node_errors") or {})
            failure = await _follow(socket, run, on_event)
        if failure is not None:
            raise failure
        return run

    def _queue(self, prompt):
        try:
            return json.loads(self._post("/prompt", {"prompt": prompt, "client_id": self.client_id}))
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
            body = json.loads(error.read())
            raise PromptRejected(rejection_text(body), body) from None

    def _json(self, path):
        return json.loads(self._get(path))

    def _get(self, path):
        with _opener.open(self.url + path, timeout=REQUEST_SECONDS) as answer:
            return answer.read()

    def _post(self, path, body):
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with _opener.open(request, timeout=REQUEST_SECONDS) as answer:
            return answer.read()


async def _follow(socket, run, on_event):
    """Fill `run` from the websocket until the server is done with it; return the exception it failed with, if any."""
    failure = None
    async for message in socket:
        if message.type == aiohttp.WSMsgType.BINARY:
            run.previews += struct.unpack(">I", message.data[:4])[0] in PREVIEW_FRAMES
            continue
        event = json.loads(message.data)
        kind, data = event["type"], event.get("data") or {}
        if data.get("prompt_id") != run.prompt_id:
            continue
        if kind == "executing" and data["node"] is None:
            return failure
        run.events.append((kind, data))
        failure = failure or _take(run, kind, data)
        if on_event is not None:
            on_event(kind, data)
    raise ConnectionClosed("ComfyUI closed the connection before the workflow was finished.")


def _take(run, kind, data):
    if kind == "executing" and data["node"] not in run.executed:
        run.executed.append(data["node"])
    elif kind == "execution_cached":
        run.cached = list(data["nodes"])
    elif kind == "executed" and data.get("output") is not None:
        run.outputs[data["node"]] = data["output"]
    elif kind == "execution_error":
        return ExecutionFailed(data, run)
    elif kind == "execution_interrupted":
        return Interrupted(data, run)
    return None


def refusal(client, graph):
    """Run a graph that ComfyUI must refuse when it is queued, and return why it does."""
    return str(_what_ends(client, graph, PromptRejected))


def failure(client, graph):
    """Run a graph in which a node must raise, and return the ExecutionFailed."""
    return _what_ends(client, graph, ExecutionFailed)


def _what_ends(client, graph, kind):
    try:
        client.run(graph, timeout=300)
    except kind as error:
        return error
    raise AssertionError(f"the graph ran without {kind.__name__}")
