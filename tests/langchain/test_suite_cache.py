"""LangChain's standard suites for caches, on Redis and on `memory://`, exact and with vectors."""

from __future__ import annotations

import pytest
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from langchain_aegis import AegisCache
from tests.langchain.kit import Kit


class _OnRedis:
    @pytest.fixture
    def cache(self, kit: Kit) -> AegisCache:
        return kit.cache()


class _OnRedisExactly:
    @pytest.fixture
    def cache(self, kit: Kit) -> AegisCache:
        return kit.cache(embeddings=None)


class _InMemory:
    @pytest.fixture
    def cache(self, kit: Kit) -> AegisCache:
        return kit.cache(redis_url="memory://")


class TestSyncOnRedis(_OnRedis, SyncCacheTestSuite):
    pass


class TestSyncOnRedisExactly(_OnRedisExactly, SyncCacheTestSuite):
    pass


class TestSyncInMemory(_InMemory, SyncCacheTestSuite):
    pass


class TestAsyncOnRedis(_OnRedis, AsyncCacheTestSuite):
    pass


class TestAsyncOnRedisExactly(_OnRedisExactly, AsyncCacheTestSuite):
    pass


class TestAsyncInMemory(_InMemory, AsyncCacheTestSuite):
    pass
