"""Settings: a wrong one is an error that says what to write, and no secret is ever shown."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm import AegisConfig, CacheConfig, ConfigError, SchedulerConfig
from aegis_llm.config import SCHEMES, safe_url, unknown_option


def test_the_defaults_are_the_promised_ones() -> None:
    cache = CacheConfig()
    assert cache.redis_url == "redis://localhost:6379"
    assert (cache.ttl, cache.ttl_jitter, cache.similarity) == (3600, 0, None)
    assert (cache.neighbours, cache.max_question_tokens) == (4, 256)
    assert cache.redis_timeout_ms + cache.redis_connect_timeout_ms <= 60
    assert cache.embed_timeout_ms == 500
    assert cache.local_max_age_s == 30
    assert cache.store_prompts
    assert SchedulerConfig().single_flight


@pytest.mark.parametrize(
    ("option", "value", "advice"),
    [
        ("ttl", 0, "seconds, more than 0"),
        ("ttl", -1, "seconds, more than 0"),
        ("ttl", float("nan"), "seconds, more than 0"),
        ("ttl", float("inf"), "seconds, more than 0"),
        ("ttl", "60", "seconds, more than 0"),
        ("ttl", None, "seconds, more than 0"),
        ("ttl", True, "seconds, more than 0"),
        ("ttl_jitter", -0.1, "a share from 0 to 0.5"),
        ("ttl_jitter", 0.51, "a share from 0 to 0.5"),
        ("similarity", -0.01, "a cosine similarity from 0 to 1"),
        ("similarity", 1.01, "a cosine similarity from 0 to 1"),
        ("similarity", 92, "a cosine similarity from 0 to 1"),
        ("similarity", "0.9", "a cosine similarity from 0 to 1"),
        ("neighbours", 0, "a whole number from 1 to 64"),
        ("neighbours", 65, "a whole number from 1 to 64"),
        ("neighbours", 2.5, "a whole number from 1 to 64"),
        ("max_question_tokens", 0, "a whole number"),
        ("max_question_tokens", 1.5, "a whole number"),
        ("redis_timeout_ms", 0, "milliseconds, more than 0"),
        ("redis_connect_timeout_ms", -1, "milliseconds, more than 0"),
        ("embed_timeout_ms", float("inf"), "milliseconds, more than 0"),
        ("local_max_bytes", -1, "bytes, 0 turns it off"),
        ("local_max_bytes", 0.5, "bytes, 0 turns it off"),
        ("local_max_age_s", -1, "seconds"),
        ("namespace", "", "1 to 64 letters"),
        ("namespace", "a b", "1 to 64 letters"),
        ("namespace", "a:b", "1 to 64 letters"),
        ("namespace", "a*", "1 to 64 letters"),
        ("namespace", "a\n", "1 to 64 letters"),
        ("namespace", "é", "1 to 64 letters"),
        ("namespace", "x" * 65, "1 to 64 letters"),
        ("namespace", None, "1 to 64 letters"),
        ("store_prompts", "false", "True or False"),
        ("store_prompts", 0, "True or False"),
        ("extractor", "last line", "a function"),
        ("embedding_id", "", "a text"),
        ("embedding_id", 7, "a text"),
    ],
)
def test_a_wrong_value_says_what_to_give(option: str, value: Any, advice: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CacheConfig(**{option: value})
    assert option in str(caught.value)
    assert advice in str(caught.value)
    assert repr(value)[:20] in str(caught.value)


def test_single_flight_is_yes_or_no() -> None:
    with pytest.raises(ConfigError, match="single_flight='no' is not usable; give True or False"):
        SchedulerConfig(single_flight="no")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ttl", 0.001), ("ttl", 1), ("ttl_jitter", 0.5), ("similarity", 0), ("similarity", 1),
        ("neighbours", 64), ("local_max_bytes", 0), ("local_max_age_s", 0),
        ("namespace", "A-b_c.9"), ("extractor", len), ("embedding_id", "mine"),
    ],
)  # fmt: skip
def test_the_ends_of_the_ranges_are_usable(option: str, value: Any) -> None:
    assert getattr(CacheConfig(**{option: value}), option) == value


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379",
        "redis://user:pw@h:6379/2?protocol=3",
        "rediss://h",
        "unix:///run/redis.sock",
        "unix://:pw@/run/redis.sock?db=1",
        "redis+sentinel://u:pw@h1:26379,h2/main?db=1",
        "redis+cluster://h1:7000,h2:7001",
        "redis://[::1]:6379/0",
        "embedded://",
        "embedded://name?maxmemory=10mb",
        "memory://",
        "memory://shared",
    ],
)
def test_every_kind_of_url_is_usable(url: str) -> None:
    assert CacheConfig(redis_url=url).redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:6379", "localhost", "http://localhost", "redis:/localhost", "//localhost",
        "user:hunter2@localhost:6379", "REDISS+x://h:hunter2@y", None, 7, b"redis://localhost",
        "redis://:hunter2@host:port", "redis://:hunter2@host:70000",
        "redis+sentinel://", "redis+cluster:///", "redis+sentinel://:hunter2@h:port/main",
        "redis+sentinel://h/main?db=hunter2", "redis://:hunt/er2@host", "unix://",
    ],
    ids=repr,
)  # fmt: skip
def test_a_wrong_url_is_told_at_construction_without_its_secrets(url: Any) -> None:
    with pytest.raises(ConfigError, match="redis_url") as caught:
        CacheConfig(redis_url=url)
    assert "hunter2" not in str(caught.value)
    assert "er2" not in str(caught.value)


def test_a_url_without_a_known_start_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        CacheConfig(redis_url="http://localhost")
    assert all(f"{scheme}://" in str(caught.value) for scheme in SCHEMES)


class TestSecrets:
    URL = "redis://user:hunter2@host:6379/1?password=hunter2"

    def test_the_url_is_in_no_repr(self) -> None:
        config = AegisConfig(cache=CacheConfig(redis_url=self.URL))
        for shown in (repr(config), str(config), repr(config.cache), f"{config}"):
            assert "hunter2" not in shown
            assert "redis://" not in shown

    def test_what_is_shown_names_the_server_only(self) -> None:
        assert safe_url(self.URL) == "redis://host:6379/1"
        assert safe_url("unix://:hunter2@/run/redis.sock") == "unix:///run/redis.sock"
        assert safe_url("redis://[::1]:6379/0") == "redis://[::1]:6379/0"
        many = "redis+sentinel://u:hunter2@h1:26379,h2/main?db=1"
        assert safe_url(many) == "redis+sentinel://h1:26379,h2/main"

    @settings(deadline=None)
    @given(
        secret=st.text("S3cr/#?@:;[]%& ", min_size=1, max_size=12).map(lambda s: f"Q{s}Z"),
        form=st.sampled_from(
            [
                "redis://user:{}@host:6379/0",
                "redis://:{}@host:6379",
                "rediss://{}@host",
                "redis://{}",
                "unix://:{}@/run/redis.sock",
                "redis+sentinel://u:{}@h1:1,h2:2/main",
                "redis+cluster://:{}@h1:1,h2:2",
                "redis://host:6379/0?password={}",
                "user:{}@host:6379",
                "{}@host",
            ]
        ),
    )
    def test_no_password_shows_however_it_is_written(self, secret: str, form: str) -> None:
        """Also one with characters that ought to have been quoted, as people write them."""
        if form == "redis://{}" and "@" not in secret:
            return
        url = form.format(secret)
        password = (
            secret
            if "@" not in secret or "{}@" in form or "?" in form
            else (secret.rpartition("@")[0])
        )
        shown = safe_url(url).lower().removeprefix(form.partition("://")[0])
        parts = [p for p in _parts(password.lower()) if len(p) > 1]
        assert not any(part in shown for part in parts if part not in ("redis", "host"))


def _parts(secret: str) -> list[str]:
    """The runs of letters and digits of a secret."""
    return "".join(c if c.isalnum() else " " for c in secret).split()


class TestEnvironment:
    def test_it_is_read_only_when_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AEGIS_TTL", "7")
        assert AegisConfig().cache.ttl == 3600
        assert AegisConfig.from_env().cache.ttl == 7

    def test_every_variable(self) -> None:
        config = AegisConfig.from_env(
            {
                "AEGIS_REDIS_URL": "memory://",
                "AEGIS_NAMESPACE": "app",
                "AEGIS_TTL": " 60.5 ",
                "AEGIS_SIMILARITY": "0.8",
                "AEGIS_UNKNOWN": "x",
            }
        )
        cache = config.cache
        assert (cache.redis_url, cache.namespace) == ("memory://", "app")
        assert (cache.ttl, cache.similarity) == (60.5, 0.8)

    def test_an_empty_variable_is_absent(self) -> None:
        empty = {"AEGIS_TTL": "", "AEGIS_REDIS_URL": " ", "AEGIS_NAMESPACE": ""}
        assert AegisConfig.from_env(empty) == AegisConfig()
        assert AegisConfig.from_env({}) == AegisConfig()

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("AEGIS_TTL", "an hour"),
            ("AEGIS_TTL", "-5"),
            ("AEGIS_TTL", "nan"),
            ("AEGIS_SIMILARITY", "92%"),
            ("AEGIS_SIMILARITY", "92"),
            ("AEGIS_NAMESPACE", "a b"),
            ("AEGIS_REDIS_URL", "http://user:hunter2@host"),
        ],
    )
    def test_a_wrong_value_names_its_variable(self, name: str, text: str) -> None:
        with pytest.raises(ConfigError) as caught:
            AegisConfig.from_env({name: text})
        assert name in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__cause__ is None


class TestOptions:
    def test_options_of_every_section_are_found_by_name(self) -> None:
        config = AegisConfig().with_options(ttl=60, single_flight=False)
        assert config.cache.ttl == 60
        assert not config.scheduler.single_flight
        assert AegisConfig().cache.ttl == 3600

    @pytest.mark.parametrize(
        ("name", "near"),
        [("redis_ur", "redis_url"), ("similarty", "similarity"), ("neighbors", "neighbours")],
    )
    def test_an_unknown_option_suggests_the_nearest(self, name: str, near: str) -> None:
        with pytest.raises(ConfigError, match=f"unknown option '{name}'; did you mean '{near}'"):
            AegisConfig().with_options(**{name: 1})

    def test_an_option_like_no_other_lists_what_there_is(self) -> None:
        with pytest.raises(ConfigError, match=r"known: .*namespace.*redis_url.*ttl"):
            AegisConfig().with_options(zzz=1)
        assert "did you mean 'model'" in str(unknown_option("modl", frozenset({"model"})))

    def test_a_changed_option_is_checked_too(self) -> None:
        with pytest.raises(ConfigError, match="ttl=0"):
            AegisConfig().with_options(ttl=0)

    def test_settings_are_frozen_and_can_be_compared(self) -> None:
        config = CacheConfig(ttl=60)
        with pytest.raises(FrozenInstanceError):
            config.ttl = 61  # type: ignore[misc]
        assert {config, CacheConfig(ttl=60)} == {config}
        assert config != CacheConfig(ttl=60, redis_url="memory://")
        with pytest.raises(TypeError):
            CacheConfig(60)  # type: ignore[misc]
