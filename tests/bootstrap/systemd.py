"""Stands in for systemd: a `systemctl` on PATH, and what it does to a simulated Ollama.

As the real one it takes the unit's files into account at a daemon-reload only, and does not wait
until the server answers.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingMixIn, UnixStreamServer
from threading import Thread
from typing import Self

_CLIENT = """\
import socket, sys
with socket.socket(socket.AF_UNIX) as said:
    said.connect({address!r})
    said.sendall(("\\0".join(sys.argv[1:]) + "\\n").encode())
    reply = said.makefile().read()
sys.stderr.write(reply)
sys.exit(1 if reply else 0)
"""


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


class FakeSystemd:
    """Runs the server of `ollama.service` with the environment that its files give it.

    Args:
        root: Below which the files lie.
        work: A folder for the socket, the log and the program.
        command: The server; None: the simulator with these `arguments`.
    """

    def __init__(
        self, root: Path, work: Path, *arguments: str, command: list[str] | None = None
    ) -> None:
        self.root = root
        self.log = work / "server.log"
        self.asked: list[list[str]] = []
        self.loaded: dict[str, str] = {}
        self.broken = ""
        self.process: subprocess.Popen[bytes] | None = None
        simulator = [sys.executable, "-m", "aegis_llm.testing.serving", "--log", str(self.log)]
        self.command = command or [*simulator, *arguments]
        self.bin = work / "bin"
        self.bin.mkdir()
        address = str(work / "s")
        program = self.bin / "systemctl"
        program.write_text(f"#!{sys.executable} -IS\n{_CLIENT.format(address=address)}")
        program.chmod(0o755)
        outer = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                arguments = self.rfile.readline().decode().rstrip("\n").split("\0")
                self.wfile.write(outer.do(arguments).encode())

        self._server = _Server(address, Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.stop()

    def do(self, arguments: list[str]) -> str:
        """Do what systemctl was asked; return why not, or nothing."""
        self.asked.append(arguments)
        if arguments == ["daemon-reload"]:
            self.loaded = self.read()
        elif arguments == ["restart", "ollama.service"] and self.broken:
            return self.broken
        elif arguments == ["restart", "ollama.service"]:
            self.stop()
            kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
            kept["PYTHONPATH"] = os.pathsep.join(sys.path)
            self.process = subprocess.Popen(
                self.command, env={**kept, **self.loaded}, stderr=subprocess.DEVNULL
            )
        else:
            return f"Unknown command verb {arguments}."
        return ""

    def read(self) -> dict[str, str]:
        """Return the environment that the unit and its drop-ins give."""
        folder = self.root / "etc/systemd/system"
        found: dict[str, str] = {}
        for path in (folder / "ollama.service", *sorted(folder.glob("ollama.service.d/*.conf"))):
            for line in path.read_text().splitlines():
                if line.startswith("Environment="):
                    for word in shlex.split(line.removeprefix("Environment=")):
                        name, _, value = word.partition("=")
                        found[name] = value.replace("%%", "%")
        return found

    def stop(self) -> None:
        """End the server, if it runs."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
