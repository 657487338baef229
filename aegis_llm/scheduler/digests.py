"""Digests of models, known without asking Ollama on the way of a request.

A digest names the exact weights and template behind a model's name. The list is fetched when it
is first needed and then refreshed in the background, at most once a minute. While Ollama cannot be
asked, the last known digest stays valid; it is kept in the store for new processes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

import msgspec

from aegis_llm.errors import StoreTrouble, Trouble
from aegis_llm.keys import digest_key, normal_model
from aegis_llm.plan import Put
from aegis_llm.ports import ModelSource, Store
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.pool import DaemonPool, await_, wait

REFRESH_S = 60.0
RETRY_S = 5.0
FIRST_WAIT_S = 0.25
_NOT_YET = Trouble("digest_pending")
_KEPT_MS = 30 * 86400 * 1000
_decode = msgspec.json.Decoder(dict[str, str]).decode


class _Server:
    """What is known of one Ollama server."""

    def __init__(self) -> None:
        self.digests: Mapping[str, str] = {}
        self.kept: Mapping[str, str] = {}
        self.next_fetch = 0.0
        self.fetching: Future[None] | None = None
        self.late: Future[None] | None = None
        self.fetched = False


class DigestBook:
    """Digests by server and model; shared by everything in the process."""

    def __init__(
        self,
        store: Store,
        namespace: str,
        pool: DaemonPool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._pool = pool
        self._now = monotonic
        self._lock = threading.Lock()
        self._servers: dict[str, _Server] = {}
        self._sources: dict[str, ModelSource] = {}
        renew_in_child(self)

    def renew(self) -> None:
        """Forget fetches that no thread of a forked child will end."""
        self._lock = threading.Lock()
        for known in self._servers.values():
            known.fetching = None

    def register(self, source: ModelSource) -> None:
        """Say how a server is asked; the latest source of a server wins."""
        self._sources[source.server] = source

    def source(self, server: str) -> ModelSource | None:
        """Return how a server is asked."""
        return self._sources.get(server)

    def look(
        self, server: str, model: str, *, keep: bool = True
    ) -> tuple[str | None, Future[None] | None]:
        """Return the digest if it is known, and the fetch to wait for, if there is one.

        It is worth waiting for when nothing is known yet, or when what is known is so old that the
        model may have been pulled anew meanwhile: two refreshes were due and nobody asked. Without
        `keep` a fetch begun here leaves the store as it is.
        """
        known = self._servers.get(server)
        now = self._now()
        if known is not None and now < known.next_fetch:
            digest = _find(known.digests, model)
            if digest is not None:
                return digest, None
        source = self._sources.get(server)
        if source is None:
            return None, None
        with self._lock:
            known = self._servers.setdefault(server, _Server())
            if now >= known.next_fetch and known.fetching is None:
                known.fetching = self._pool.submit(self._fetch, source, known, keep)
            digest = _find(known.digests, model)
            old = not known.fetched or now >= known.next_fetch + REFRESH_S
            fetching = known.fetching
            return digest, fetching if old and fetching is not known.late else None

    def ask(self, server: str, model: str, patience_s: float, *, keep: bool = True) -> str | None:
        """Return the digest; see `look`, for how long a fetch is waited for."""
        digest, fetching = self.look(server, model, keep=keep)
        if fetching is None:
            return digest
        try:
            wait(fetching, patience_s, _NOT_YET)
        except Trouble:
            self.gave_up(server, fetching)
        return self.known(server, model)

    async def aask(
        self, server: str, model: str, patience_s: float, *, keep: bool = True
    ) -> str | None:
        """Like `ask`, awaited."""
        digest, fetching = self.look(server, model, keep=keep)
        if fetching is None:
            return digest
        try:
            await await_(fetching, patience_s, _NOT_YET)
        except Trouble:
            self.gave_up(server, fetching)
        return self.known(server, model)

    def gave_up(self, server: str, fetching: Future[None]) -> None:
        """Note that a fetch takes long, so that no other request waits for it."""
        known = self._servers.get(server)
        if known is not None:
            known.late = fetching

    def known(self, server: str, model: str) -> str | None:
        """Return the digest that is known now."""
        known = self._servers.get(server)
        return None if known is None else _find(known.digests, model)

    def _fetch(self, source: ModelSource, known: _Server, keep: bool) -> None:
        """Ask Ollama; when it cannot be asked, keep what is known or what the store kept."""
        wait = REFRESH_S
        digests: Mapping[str, str] = known.digests
        try:
            digests = {normal_model(name): d for name, d in source.fetch().items() if d}
            if keep and digests and digests != known.kept:
                self._keep(source.server, digests)
                known.kept = digests
        except Exception:  # noqa: BLE001 - Ollama cannot be asked now
            wait = RETRY_S
            digests = digests or self._kept(source.server)
        finally:
            with self._lock:
                known.digests = digests
                known.next_fetch = self._now() + wait
                known.fetched = True
                known.fetching = None

    def _kept(self, server: str) -> dict[str, str]:
        try:
            data = self._store.get(digest_key(self._namespace, server))
            return _decode(data) if data else {}
        except (StoreTrouble, msgspec.MsgspecError, ValueError):
            return {}

    def _keep(self, server: str, digests: Mapping[str, str]) -> None:
        key = digest_key(self._namespace, server)
        try:
            self._store.put(Put(key, msgspec.json.encode(digests), _KEPT_MS))
        except StoreTrouble:
            return


def _find(digests: Mapping[str, str], model: str) -> str | None:
    digest = digests.get(model)
    if digest is None and digests:
        folded = model.casefold()
        digest = next((d for name, d in digests.items() if name.casefold() == folded), None)
    return digest
