"""The batch runner's client of a ComfyUI server, and beside it what follows a run over the websocket."""

import asyncio
import json
import struct
import uuid
from dataclasses import dataclass, field

import aiohttp

from lumosx_core.runner.client import MOST_FILE, Server, finished, json_body, quoted, session, view_path
from lumosx_core.runner.protocol import Refused, ServerAway

# The first four bytes of a binary frame say what it is: these two are preview images, the rest is text.
PREVIEW_FRAMES = (1, 4)


@dataclass
class PromptResult:
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


class ComfyClient(Server):
    """A client of the server at `url` that also waits for what it queues.

    Its calls block; they raise ServerAway when the server is gone and Refused when it says no.
    """

    def __init__(self, url):
        super().__init__(url)
        self.client_id = uuid.uuid4().hex

    def object_info(self, node=None):
        """Return the schemas of all nodes by id, or that of one `node` (KeyError when there is none)."""
        if node is None:
            return self._json("/object_info")
        return self._json("/object_info/" + quoted(node))[node]

    def submit(self, prompt):
        """Queue a workflow in API form and return ComfyUI's answer; raises PromptRejected."""
        try:
            return self._json("/prompt", json_body(prompt=prompt, client_id=self.client_id))
        except Refused as refused:
            if refused.code != 400:
                raise
            raise PromptRejected(str(refused), refused.answer) from None

    def run(self, prompt, on_event=None, timeout=600.0):
        """Queue a workflow in API form, wait for its end and return a Run.

        `on_event(type, data)` sees every event of this prompt as it arrives and may call `interrupt`.
        Raises PromptRejected, ExecutionFailed, Interrupted, ServerAway, or TimeoutError (the prompt is then interrupted
        too).
        """
        try:
            return finished(self._run_within(timeout, prompt, on_event))
        except aiohttp.ClientError as error:
            raise ServerAway(f"ComfyUI does not answer: {error}.") from None

    def interrupt(self):
        """Interrupt what runs now, if anything does."""
        self._request("/interrupt", json_body())

    def free(self):
        """Ask the server to unload models and forget cached results; it does so when idle."""
        self._request("/free", json_body(unload_models=True, free_memory=True))

    def forget(self, prompt_id):
        """Take a prompt that has ended out of the server's history."""
        self._request("/history", json_body(delete=[prompt_id]))

    def view(self, file):
        """Return the bytes of a file that a node's ui output names (`filename`, `subfolder`, `type`)."""
        pieces = []
        self._exchange(view_path(file), None, MOST_FILE, pieces.append)
        return b"".join(pieces)

    async def _run_within(self, timeout, prompt, on_event):
        task = asyncio.create_task(self._run(prompt, on_event))
        finished, _ = await asyncio.wait({task}, timeout=timeout)
        if not finished:
            task.cancel()
            self.interrupt()
            raise TimeoutError(f"The workflow did not finish within {timeout:g} s.")
        return task.result()

    async def _run(self, prompt, on_event):
        address = f"{self.url}/ws?clientId={self.client_id}"
        async with session() as connection, connection.ws_connect(address, max_msg_size=0) as socket:
            # The first message says that the server knows this client; earlier events would be lost.
            await socket.receive()
            answer = self.submit(prompt)
            run = PromptResult(answer["prompt_id"], node_errors=answer.get("node_errors") or {})
            failure = await _follow(socket, run, on_event)
        if failure is not None:
            raise failure
        return run


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
    raise ServerAway("ComfyUI closed the connection before the workflow was finished.")


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
