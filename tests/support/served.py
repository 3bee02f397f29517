"""A server of aiohttp in a thread, on a free port of this machine."""

import asyncio
import threading

from aiohttp import web


class Served:
    """Serves an application inside the ``with``; ``url`` is its address.

    Attributes:
        PATH: what the address ends with.
    """

    PATH = ""

    def __init__(self):
        self.url = ""
        self._loop, self._ready = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def application(self):
        """What is served."""
        raise NotImplementedError

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        async def start():
            runner = web.AppRunner(self.application(), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}{self.PATH}"
            self._ready.set()

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(start())
        self._loop.run_forever()
