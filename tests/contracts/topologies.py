"""A cluster, and a Sentinel with its primary, from the program of the tests' Redis."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from aegis_llm.stores import embedded_server
from tests.contracts.kit import until
from tests.redis_server import RedisServer

SERVICE = "main"
_SLOTS = 16384


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def cluster(count: int = 1) -> Iterator[list[RedisServer]]:
    """A cluster whose nodes share all slots."""
    with contextlib.ExitStack() as ends:
        nodes: dict[RedisServer, int] = {}
        for number in range(count):
            bus = free_port()
            server = RedisServer(modules=False, cluster_enabled="yes", cluster_port=bus)
            ends.enter_context(server)
            server.pid  # noqa: B018 - skips where there is no server of our own
            nodes[server] = bus
            slots = (number * _SLOTS // count, (number + 1) * _SLOTS // count - 1)
            with server.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                for known, port in nodes.items():
                    if known is not server:
                        client.execute_command("CLUSTER", "MEET", "127.0.0.1", known.port, port)
        until(lambda: all(_joined(node, count) for node in nodes))
        yield list(nodes)


def _joined(node: RedisServer, count: int) -> bool:
    with node.client() as client:
        told = client.cluster("INFO")
    return bool(told["cluster_state"] == "ok" and int(told["cluster_known_nodes"]) == count)


@contextlib.contextmanager
def sentinel(primary: RedisServer) -> Iterator[int]:
    """A Sentinel that watches the primary under the name `main`; yields its port."""
    program = next((c.program for c in embedded_server.candidates() if not c.modules), None)
    if program is None:
        pytest.skip("needs a redis-server of its own")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\n"
        )
        process = subprocess.Popen(
            [program, config, "--sentinel"], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
        )
        try:
            with redis.Redis(port=port) as client:
                until(lambda: _knows(client))
            yield port
        finally:
            process.kill()
            process.wait()


def _knows(client: redis.Redis) -> bool:
    try:
        return bool(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE))
    except redis.RedisError:
        return False
