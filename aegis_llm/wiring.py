"""Puts the parts together; the only module that knows them all."""

from __future__ import annotations

import logging
import random
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from aegis_llm.answering import Answering
from aegis_llm.config import (
    OPTION_NAMES,
    AegisConfig,
    CacheConfig,
    SchedulerConfig,
    safe_url,
    unknown_option,
)
from aegis_llm.learning.learned import Learned
from aegis_llm.matching import Matcher
from aegis_llm.plan import Rules
from aegis_llm.ports import Embedder, Store, VectorSource
from aegis_llm.questions import whole_question
from aegis_llm.scheduler.digests import DigestBook
from aegis_llm.scheduler.embedding import Embedding
from aegis_llm.scheduler.gathering import Gathering
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.scheduler.registry import QUEUES
from aegis_llm.service import Service
from aegis_llm.stores.known import Known
from aegis_llm.stores.local import LocalCopy
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.stores.redis import RedisStore
from aegis_llm.stores.redis_clients import single_node
from aegis_llm.vectorizing import Apart, Gathers, Vectorizing, VectorStore, batched
from aegis_llm.vectors import VectorRules

log = logging.getLogger("aegis_llm")
_lock = threading.Lock()
_shared: OrderedDict[object, Answering] = OrderedDict()
_SHARED_KEPT = 8
_vector_stores: OrderedDict[CacheConfig, VectorStore] = OrderedDict()
_vectorizing: WeakValueDictionary[object, Vectorizing] = WeakValueDictionary()
_gatherings: WeakValueDictionary[object, Gathering[Any, Any]] = WeakValueDictionary()
_memory: dict[str, MemoryStore] = {}


def connect(config: AegisConfig, embedder: Embedder | None = None) -> Answering:
    """Return the one `Answering` of this process for these settings and this embedder.

    Models with the same settings share connections, local copy and flights; the last eight are
    kept, so that a model made anew for each request finds them. Makes no connection and starts no
    thread.
    """
    identity = (config, embedder.embedding_id if embedder is not None else None)
    with _lock:
        answering = _shared.get(identity)
        if answering is None:
            answering = _shared[identity] = Answering(build(config, embedder))
        _shared.move_to_end(identity)
        while len(_shared) > _SHARED_KEPT:
            _shared.popitem(last=False)
        return answering


def connect_vectors(config: AegisConfig, source: VectorSource) -> Vectorizing:
    """Return the one `Vectorizing` of this process for these settings, server, model and options.

    What several adapters ask the same source at the same time is one request, whatever their
    settings of the cache. Makes no connection and starts no thread.
    """
    identity = (config.cache, config.scheduler, source.identity)
    with _lock:
        kept = _vector_stores.get(config.cache)
        if kept is None:
            kept = _vector_stores[config.cache] = _vector_store(config)
        _vector_stores.move_to_end(config.cache)
        while len(_vector_stores) > _SHARED_KEPT:
            _vector_stores.popitem(last=False)
        made = _vectorizing.get(identity)
        if made is None:
            gathers = _gathers(config.scheduler, source)
            rules = VectorRules(
                config.cache.namespace,
                source.model,
                source.options,
                source.dimensions,
                partial(_ttl_ms, config.cache, random.random),
                shared=config.cache.store_prompts,
            )
            made = _vectorizing[identity] = Vectorizing(kept, source, gathers, rules)
    made.kept.digests.register(source.models)
    return made


def _vector_store(config: AegisConfig) -> VectorStore:
    cache = config.cache
    pool = DaemonPool("aegis-io", 4)
    store = make_store(config, None, pool)
    local = LocalCopy(cache.local_max_bytes, cache.local_max_age_s, time.monotonic)
    return VectorStore(store, local, DigestBook(store, cache.namespace, pool), cache.ttl)


def _gathers(scheduler: SchedulerConfig, source: VectorSource) -> Gathers:
    """Return what makes requests of calls; for one source it is the same whatever the cache."""
    if not scheduler.schedule:
        return Apart(source)
    identity = (source.identity, scheduler)
    gathering = _gatherings.get(identity)
    if gathering is None:
        send, asend = batched(source)
        gathering = _gatherings[identity] = Gathering(
            send,
            asend,
            window_s=scheduler.window_ms / 1000,
            max_batch=scheduler.max_batch,
            always=scheduler.window == "always",
        )
    return gathering


def _ttl_ms(cache: CacheConfig, share: Callable[[], float]) -> int:
    return max(1, round(1000 * cache.ttl * (1 - cache.ttl_jitter * share())))


def build(
    config: AegisConfig, embedder: Embedder | None = None, store: Store | None = None
) -> Service:
    """Make a service of its own, on `store` if one is given."""
    cache = config.cache
    pool = DaemonPool("aegis-io", 4)
    if store is None:
        store = make_store(config, embedder, pool)
    embedding = None
    if embedder is not None and cache.store_prompts:
        embedding = Embedding(embedder, cache.embed_timeout_ms / 1000)
    local = LocalCopy(cache.local_max_bytes, cache.local_max_age_s, time.monotonic)
    known = Known(store, local)
    return Service(
        rules=Rules(
            cache,
            make_matcher(cache, embedder),
            embedding is not None,
            _now_ms,
            random.random,
            state=known,
            state_at=known.at,
            learned=Learned(cache),
        ),
        store=store,
        local=local,
        digests=DigestBook(store, cache.namespace, pool),
        embedding=embedding,
        single_flight=config.scheduler.single_flight,
    )


def whole_config(
    config: AegisConfig | None,
    redis_url: str | None,
    options: Mapping[str, Any],
    others: frozenset[str] = frozenset(),
) -> AegisConfig:
    """Return the settings of what is asked whole questions, by which nothing else is extracted.

    Raises:
        ConfigError: An option does not exist; `others` are the names of the caller's own.
    """
    known = OPTION_NAMES - {"extractor"}
    for name in options:
        if name not in known:
            raise unknown_option(name, known | others)
    given = options if redis_url is None else {**options, "redis_url": redis_url}
    return (config or AegisConfig()).with_options(**given, extractor=whole_question)


def make_matcher(cache: CacheConfig, embedder: Embedder | None) -> Matcher:
    """Return the matcher for this embedder; says once when no calibrated score can be made."""
    embedding_id = None if embedder is None else embedder.embedding_id
    matcher = Matcher(cache, embedding_id)
    if embedding_id is not None and (sentence := unscored(matcher, cache, embedding_id)):
        say_once(sentence)
    return matcher


def say_unjudged(cache: CacheConfig, whose: str) -> None:
    """Say which settings do nothing where no server of a model is known that could be asked."""
    idle = {
        "judge": cache.judge == "serve",
        "judge_model": cache.judge_model is not None,
        "check_hits": cache.check_hits > 0,
    }
    if names := [name for name, given in idle.items() if given]:
        say_once(
            f"{whose} knows no server that could judge: {', '.join(names)} does nothing here"
            " (a ChatAegis or AegisOllama has one); reject() is heard all the same"
        )


def unscored(matcher: Matcher, cache: CacheConfig, embedding_id: str) -> str:
    """Return why there is no score, and what hits without it; empty when there is, or need be."""
    if cache.similarity is not None or matcher.scores:
        return ""
    why = f"{embedding_id} was never calibrated"
    if cache.calibration is not None:
        why = f"{cache.calibration} was made for another embedder than {embedding_id}"
    return (
        f"{why}: only rewordings that the gates read as the same words hit, at a similarity of"
        f" {matcher.threshold}; see aegis-llm calibrate, or use all-minilm"
    )


def make_store(config: AegisConfig, embedder: Embedder | None, pool: DaemonPool) -> Store:
    """Return the store that the URL names; `memory://NAME` is shared within the process."""
    cache = config.cache
    embedding_id = embedder.embedding_id if embedder is not None else None
    if cache.redis_url.startswith("memory://"):
        shared = _memory.setdefault(f"{cache.redis_url} {cache.namespace}", MemoryStore())
        return shared.seen_by(embedding_id or "")
    if cache.redis_url.startswith("embedded://"):
        from aegis_llm.stores.embedded import EmbeddedRedis

        private = EmbeddedRedis(cache.redis_url)
        return RedisStore(cache, embedding_id, pool, lambda _: private.ensure())
    if embedder is not None and not single_node(cache.redis_url):
        say_once("Redis Sentinel and Cluster have the exact tier only: no reworded question hits")
    return RedisStore(cache, embedding_id, pool)


def server_name(url: str) -> str:
    """Return the name of an Ollama server: its URL without secrets, with the host if it is local.

    Two machines that share a Redis each have a `localhost` of their own.
    """
    shown = safe_url(url).rstrip("/")
    host = urlsplit(shown).hostname or ""
    local = host in ("", "localhost", "::1") or host.startswith("127.")
    return f"{shown}@{socket.gethostname()}" if local else shown


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


_said: set[str] = set()


def say_once(sentence: str) -> None:
    """Log a sentence, once in the life of the process."""
    if sentence not in _said:
        _said.add(sentence)
        log.warning(sentence)


def forget_all() -> None:
    """Forget services, `memory://` stores, queues and what was said once; for tests."""
    with _lock:
        _shared.clear()
        _vector_stores.clear()
        _vectorizing.clear()
        _gatherings.clear()
        _memory.clear()
        _said.clear()
    QUEUES.forget()
