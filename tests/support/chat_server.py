"""A real server on this machine with the address of chat completions, which says what a test wants it to say."""

import json

from aiohttp import web

from support.served import Served


class ChatServer(Served):
    """Answers questions in order; the last answer stays.

    Attributes:
        answers: each a text for the message's content, a number for an HTTP status, bytes for the whole body, or a
            function of the request.
        asked: the questions as JSON.
        headers: of each question.
        models: the HTTP status of the list of models.
    """

    PATH = "/v1"

    def __init__(self, *answers):
        super().__init__()
        self.answers, self.asked, self.headers, self.models = list(answers), [], [], 200

    def application(self):
        """The two addresses of chat servers that are asked for."""
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_get("/v1/models", self._list)
        return app

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
