"""LangChain's standard suites for caches, on Redis and on `memory://`, exact and with vectors."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_tests.integration_tests import AsyncCacheTestSuite, SyncCacheTestSuite

from tests.langchain.kit import Kit


class _OnRedis:
    @pytest.fixture
    def cache(self, kit: Kit) -> Any:
        return kit.cache()


class _OnRedisExactly:
    @pytest.fixture
    def cache(self, kit: Kit) -> Any:
        return kit.cache(embeddings=None)


class _InMemory:
    @pytest.fixture
    def cache(self, kit: Kit) -> Any:
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
