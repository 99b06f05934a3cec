"""A headless Chromium, driven by its DevTools protocol: opens a page, runs scripts in it, says what went wrong."""

import asyncio
import contextlib
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""Where the browser is; None where none is installed."""
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0")
SECONDS = 60
"""A page that takes longer has hung."""


WIDTH = "document.scrollingElement.scrollWidth"
"""Script: pixels that a page takes from left to right."""


class Page:
    """A page in a browser of its own.

    Attributes:
        problems: errors of the page's scripts, and files that it asked for in vain, since it was opened.
        requests: addresses that it asked a network for since then.
    """

    def __init__(self, socket: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.socket, self.loop = socket, loop
        self.number, self.events, self.problems, self.requests = 0, [], [], []

    def call(self, method: str, **parameters: Any) -> dict:
        """What the browser answers to a command; what it reports meanwhile is kept."""
        self.number += 1
        message = json.dumps({"id": self.number, "method": method, "params": parameters})
        self._await(lambda: self.socket.write_message(message))
        while True:
            found = self._read()
            if found.get("id") == self.number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                return found["result"]

    def open(self, address: str, width: int, height: int = 1000) -> None:
        """Show an address in a window of that size, and wait until it is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.events, self.problems, self.requests = [], [], []
        self.call("Page.navigate", url=address)
        while "Page.loadEventFired" not in self.events:
            self._read()

    def run(self, script: str) -> Any:
        """The value of an expression, or of the promise that it makes."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description", script))
        return found["result"].get("value")

    def close(self) -> None:
        """Hang up, and wait until the browser has done so too."""

        async def hang_up() -> None:
            self.socket.close()
            while await self.socket.read_message() is not None:
                pass

        self._await(hang_up)

    def _await(self, begin: Callable[[], Any]) -> Any:
        """What comes of something that is begun within the loop."""

        async def wait() -> Any:
            return await asyncio.wait_for(begin(), SECONDS)

        return self.loop.run_until_complete(wait())

    def _read(self) -> dict:
        """The next message; an event is noted."""
        message = self._await(self.socket.read_message)
        if message is None:
            raise RuntimeError("the browser has gone")
        found = json.loads(message)
        name, given = found.get("method", ""), found.get("params", {})
        self.events.append(name)
        if name == "Network.requestWillBeSent" and re.match(r"https?:|wss?:|ftp:", given["request"]["url"]):
            self.requests.append(given["request"]["url"])
        elif name == "Runtime.exceptionThrown":
            self.problems.append(given["exceptionDetails"]["exception"].get("description", "an exception"))
        elif name == "Runtime.consoleAPICalled" and given["type"] == "error":
            self.problems.append(str(given["args"]))
        elif name == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.problems.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        return found


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder behind an address of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def page(profile: Path) -> Iterator[Page]:
    """A page of a browser that has started with an empty profile.

    Args:
        profile: a folder for what the browser keeps.
    """
    from tornado.websocket import websocket_connect

    assert PROGRAM is not None
    command = [PROGRAM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    loop = asyncio.new_event_loop()
    found = None
    try:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        port = next(found[1] for line in lines if (found := re.search(r"listening on ws://[\d.]+:(\d+)/", line)))
        # What else it has to say is read, lest it wait for a reader.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        with urllib.request.urlopen(f"http://localhost:{port}/json", timeout=SECONDS) as answer:
            target = next(each for each in json.load(answer) if each["type"] == "page")

        async def connect() -> Any:
            return await websocket_connect(target["webSocketDebuggerUrl"], max_message_size=2**28)

        found = Page(loop.run_until_complete(connect()), loop)
        for domain in ("Page", "Runtime", "Log", "Network"):
            found.call(f"{domain}.enable")
        yield found
    finally:
        try:
            if found is not None:
                found.close()
        finally:
            process.terminate()
            process.wait(SECONDS)
            if process.stderr is not None:
                process.stderr.close()
            loop.close()
