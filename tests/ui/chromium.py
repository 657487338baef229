"""A real headless Chromium, led through its DevTools: what a person sees, clicks and types."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_START_S = 30.0
_REPLY_S = 30.0


def found() -> str | None:
    """Return the browser of this machine."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One window; `requested` are the addresses of all that it asked for."""

    def __init__(self, path: str) -> None:
        self.requested: list[str] = []
        self.refused: list[str] = []
        self.loaded = 0
        self._ends = contextlib.ExitStack()
        self._ids = itertools.count(1)
        self._folder = Path(tempfile.mkdtemp(prefix="aegis-chromium-"))
        self._process = subprocess.Popen(
            [
                path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking",
                "--remote-debugging-port=0", f"--user-data-dir={self._folder}", "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._socket = self._connected()
            for domain in ("Page", "Network", "Runtime", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _connected(self) -> ClientConnection:
        port_file = self._folder / "DevToolsActivePort"
        deadline = time.monotonic() + _START_S
        while not (port_file.exists() and port_file.read_text().count("\n")):
            if time.monotonic() > deadline or self._process.poll() is not None:
                msg = "Chromium does not start"
                raise RuntimeError(msg)
            time.sleep(0.02)
        port, path = port_file.read_text().split("\n")[:2]
        browser = f"ws://127.0.0.1:{port}{path}"
        with connect(browser, compression=None, max_size=None) as socket:
            socket.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            told = json.loads(socket.recv(_REPLY_S))["result"]["targetInfos"]
        page = next(one["targetId"] for one in told if one["type"] == "page")
        address = f"ws://127.0.0.1:{port}/devtools/page/{page}"
        return self._ends.enter_context(connect(address, compression=None, max_size=None))

    def call(self, method: str, **params: Any) -> Any:
        """Send one command and return its result."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            told = self._hear()
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(told["error"])
                return told["result"]

    def go(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        before = self.loaded
        self.call("Page.navigate", url=url)
        self.loaded_after(before)

    def loaded_after(self, before: int) -> None:
        """Wait until more pages were loaded than before."""
        while self.loaded <= before:
            self._hear()

    def click(self, selector: str) -> None:
        """Click an element that leads to another page, and wait for that."""
        before = self.loaded
        self.run(f"document.querySelector({json.dumps(selector)}).click()")
        self.loaded_after(before)

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press a key."""
        given: dict[str, Any] = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        self.call(
            "Input.dispatchKeyEvent", type="keyDown", **given, **({"text": text} if text else {})
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)

    def run(self, script: str) -> Any:
        """Run a script of the test's in the page, and return what it gives."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return told["result"].get("value")

    def look(self, *, width: int, height: int, dark: bool) -> None:
        """Be a window of that size, and that scheme of colours."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self) -> bytes:
        """Return the whole page as a PNG."""
        told = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(told["data"])

    def _hear(self) -> Any:
        told = json.loads(self._socket.recv(_REPLY_S))
        params = told.get("params", {})
        if told.get("method") == "Page.loadEventFired":
            self.loaded += 1
        elif told.get("method") == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif told.get("method") == "Log.entryAdded":
            self.refused.append(params["entry"]["text"])
        return told

    def close(self) -> None:
        """End the browser and delete what it wrote."""
        with contextlib.suppress(Exception):
            self.call("Browser.close")  # its helpers end with it, and write no more
            self._process.wait(10)
        with contextlib.suppress(Exception):
            self._ends.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
