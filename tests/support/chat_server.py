"""A real server on this machine with the address of chat completions, which says what a test wants it to say."""

import asyncio
import json
import threading

from aiohttp import web


class ChatServer:
    """Answers questions in order; the last answer stays.

    Attributes:
        answers: each a text for the message's content, a number for an HTTP status, bytes for the whole body, or a
            function of the request.
        asked: the questions as JSON.
        headers: of each question.
        models: the HTTP status of the list of models.
    """

    def __init__(self, *answers):
        self.answers, self.asked, self.headers, self.url, self.models = list(answers), [], [], "", 200
        self._loop, self._ready = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        async def start():
            app = web.Application(client_max_size=1 << 28)
            app.router.add_post("/v1/chat/completions", self._answer)
            app.router.add_get("/v1/models", self._list)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            self._ready.set()

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(start())
        self._loop.run_forever()

    async def _list(self, request):
        return web.json_response({"data": []}, status=self.models)

    async def _answer(self, request):
        self.asked.append(json.loads(await request.text()))
        self.headers.append(dict(request.headers))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if callable(answer):
            return await answer(request)
        if isinstance(answer, int):
            return web.json_response({"error": {"message": f"it says {answer}"}}, status=answer)
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": answer}}]})
