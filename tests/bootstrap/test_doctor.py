"""The doctor, against a real Redis and a served Ollama; what is down is told, never raised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aegis_llm.bootstrap.doctor import Checkup, Problem, configured, examine
from aegis_llm.bootstrap.doctor.of_ollama import about_server
from aegis_llm.bootstrap.doctor.of_redis import about_redis
from aegis_llm.bootstrap.doctor.problem import RedisSeen, ordered
from aegis_llm.bootstrap.doctor.redis_asking import ask
from aegis_llm.bootstrap.facts import Facts, Gpu, Loaded, ModelFacts, Ollama
from aegis_llm.bootstrap.probing import probe
from tests.bootstrap.served import served
from tests.redis_server import RedisServer

DOWN = Facts(ollama=Ollama(url="http://127.0.0.1:9", running=False))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AEGIS_REDIS_URL", "AEGIS_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def limited() -> Iterator[RedisServer]:
    """A Redis whose settings the tests change."""
    with RedisServer(maxmemory="100mb", maxmemory_policy="volatile-ttl") as server:
        yield server


def rules(checkup: Checkup, area: str) -> dict[str, str]:
    return {one.rule: one.level for one in checkup.problems if one.area == area}


def of_redis(url: str, **more: Any) -> dict[str, Problem]:
    checkup = examine(DOWN, redis_url=url, **more)
    return {one.rule: one for one in checkup.problems if one.area == "redis"}


def test_a_redis_that_is_well_set_up_has_only_notes(limited: RedisServer) -> None:
    found = of_redis(limited.url)
    assert set(found) == {"no-index", "not-kept"}
    assert {one.level for one in found.values()} == {"note"}


def test_a_redis_as_it_is_installed_has_no_limit(redis_url: str) -> None:
    found = of_redis(redis_url)
    assert found["no-maxmemory"].level == "warning"
    assert "CONFIG SET maxmemory-policy volatile-ttl" in found["no-maxmemory"].fix


@pytest.mark.parametrize(
    ("policy", "limit", "rule", "level"),
    [
        ("noeviction", "100mb", "no-eviction", "warning"),
        ("noeviction", "1mb", "no-eviction", "error"),
        ("allkeys-lru", "100mb", "eviction", "note"),
        ("allkeys-lfu", "100mb", "eviction", "note"),
        ("volatile-lru", "100mb", None, None),
    ],
)
def test_what_goes_when_redis_is_full(
    limited: RedisServer, policy: str, limit: str, rule: str | None, level: str | None
) -> None:
    limited.config_set(maxmemory_policy=policy, maxmemory=limit)
    try:
        found = of_redis(limited.url)
    finally:
        limited.config_set(maxmemory_policy="volatile-ttl", maxmemory="100mb")
    shown = {name: one.level for name, one in found.items() if "evict" in name}
    assert shown == ({rule: level} if rule else {})


def test_each_write_on_the_disk_is_too_much_for_a_cache(limited: RedisServer) -> None:
    limited.config_set(appendonly="yes", appendfsync="always")
    try:
        found = of_redis(limited.url)
    finally:
        limited.config_set(appendonly="no", appendfsync="everysec")
    assert found["syncs"].level == "warning"
    assert "not-kept" not in found


def test_an_index_of_the_namespace_is_found(limited: RedisServer) -> None:
    with limited.client() as client:
        for name in ("aegis:v1:mine:i:x", "aegis:v1:other:i:x"):
            client.execute_command("FT.CREATE", name, "SCHEMA", "t", "TEXT")
        try:
            seen = ask(limited.url, "mine")
            assert seen.indexes == ("aegis:v1:mine:i:x",)
            assert "no-index" not in of_redis(limited.url, namespace="mine")
        finally:
            client.flushall()


def test_the_rights_of_a_user_are_tried(limited: RedisServer) -> None:
    limited_url = f"redis://reader:hunter2@127.0.0.1:{limited.port}/0"
    with limited.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "reader", "on", ">hunter2", "~aegis:*", "+get", "+ping", "+info"
        )
        found = of_redis(limited_url)["no-rights"]
        client.execute_command("ACL", "SETUSER", "reader", "+@all", "-zadd", "&aegis:*")
        less = of_redis(limited_url)["no-rights"]
        client.execute_command("ACL", "SETUSER", "reader", "-pexpire", "-del", "-unlink", "-set")
        of_redis(limited_url)
        assert client.keys("*doctor*") == []
        client.execute_command("ACL", "SETUSER", "reader", "-@all", "+get")
        deaf = of_redis(limited_url)["redis-no-permission"]
        client.execute_command("ACL", "DELUSER", "reader")
    assert "+ping" in deaf.fix
    assert found.level == "error"
    assert "PEXPIRE" in found.what
    assert "+set" in found.fix
    assert " GET " not in found.what
    assert less.level == "warning"
    assert "may not run ZADD on" in less.what


def test_a_password_is_never_shown(limited: RedisServer) -> None:
    url = f"redis://:hunter2@127.0.0.1:{limited.port}/0"
    checkup = examine(DOWN, redis_url=url)
    assert rules(checkup, "redis") == {"redis-auth": "error"}
    assert b"hunter2" not in msgspec.json.encode(checkup)


def test_a_plain_redis_has_the_exact_tier_alone() -> None:
    with RedisServer(modules=False) as server:
        assert of_redis(server.url)["no-search"].level == "warning"


def test_a_replica_stores_nothing(limited: RedisServer) -> None:
    with RedisServer(modules=False, replicaof=limited) as replica:
        assert of_redis(replica.url)["replica"].level == "error"


def test_both_servers_down_are_two_problems_and_no_crash() -> None:
    checkup = examine(DOWN, redis_url="redis://127.0.0.1:9")
    assert [one.rule for one in checkup.problems] == ["ollama-down", "redis-down"]
    assert not checkup.healthy
    assert checkup.redis is not None
    assert not checkup.redis.answers


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("redis+cluster://:hunter2@127.0.0.1:9", "redis-down"),
        ("redis://127.0.0.1:9?bogus=hunter2", "redis-error"),
    ],
)
def test_an_address_that_its_client_refuses_is_a_problem_and_no_crash(url: str, rule: str) -> None:
    checkup = examine(DOWN, redis_url=url)
    assert rules(checkup, "redis") == {rule: "error"}
    assert b"hunter2" not in msgspec.json.encode(checkup)


def test_a_redis_that_hangs_is_told() -> None:
    with RedisServer() as server:
        server.hang()
        seen = ask(server.url, timeout_s=0.1)
        server.resume()
    (found,) = about_redis(seen, 35.0)
    assert (found.rule, found.level) == ("redis-timeout", "error")


def test_no_redis_is_looked_at_where_there_is_none_to_look_at() -> None:
    assert examine(DOWN, redis_url="memory://").redis is None
    assert examine(DOWN, redis=False).redis is None


@pytest.mark.parametrize(
    ("seen", "rule", "level"),
    [
        ({"latency_s": 0.0004}, None, None),
        ({"latency_s": 0.010}, "slow", "warning"),
        ({"latency_s": 0.080}, "too-slow", "error"),
        ({"save_failed": True}, "save-failed", "error"),
        ({"version": "6.0.16"}, "old-redis", "warning"),
        ({"reason": "redis_loading", "answers": False}, "redis-loading", "error"),
    ],
)
def test_other_states_of_a_redis(seen: dict[str, Any], rule: str | None, level: str) -> None:
    found = list(about_redis(RedisSeen(**{"url": "redis://x", "answers": True} | seen), 35.0))
    assert [(one.rule, one.level) for one in found] == ([(rule, level)] if rule else [])


def test_a_checkup_of_a_server_with_bad_settings(tmp_path: Path, limited: RedisServer) -> None:
    given = {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_NUM_THREADS": "16", "OLLAMA_KEEP_ALIVE": "1d"}
    with served(tmp_path, given, "--ignore", "OLLAMA_NUM_PARALLEL") as server:
        facts = probe(server.url)
        about = msgspec.structs.replace(
            facts.ollama, pid=server.pid, installed="manual", environment=given
        )
        facts = msgspec.structs.replace(facts, ollama=about, gpus=())
        checkup = examine(facts, redis_url=limited.url, log=server.log)
    found = rules(checkup, "settings")
    assert found["unparsable"] == found["not-in-force"] == "error"
    assert found["never-read"] == "warning"
    levels = [one.level for one in checkup.problems]
    assert levels == sorted(levels, key=["error", "warning", "note"].index)
    whats = [one.what for one in checkup.problems if one.rule == "not-in-force"]
    assert [what.split(" ")[0] for what in whats] == ["OLLAMA_NUM_PARALLEL=4"]


def test_what_is_meant_is_read_from_the_files_of_the_service_and_of_shells(
    tmp_path: Path,
) -> None:
    (tmp_path / "home/ada").mkdir(parents=True)
    (tmp_path / "home/ada/.bashrc").write_text("export OLLAMA_KEEP_ALIVE=1h\n")
    (tmp_path / "unit").write_text("[Service]\nEnvironment=OLLAMA_NUM_PARALLEL=4\n")
    ollama = Ollama(
        installed="systemd",
        files=("/unit", "/gone"),
        environment={"OLLAMA_NUM_PARALLEL": "2", "OLLAMA_MAX_QUEUE": "9"},
    )
    assert configured(Facts(ollama=ollama), tmp_path) == {
        "OLLAMA_KEEP_ALIVE": "1h",
        "OLLAMA_MAX_QUEUE": "9",
        "OLLAMA_NUM_PARALLEL": "4",
    }
    by_hand = msgspec.structs.replace(ollama, installed="manual", files=())
    assert "OLLAMA_KEEP_ALIVE" not in configured(Facts(ollama=by_hand), tmp_path)


def test_a_model_that_does_not_fit_the_gpu_is_told() -> None:
    facts = Facts(
        gpus=(Gpu(vendor="nvidia", name="x"),),
        models=(ModelFacts(name="m"),),
        loaded=(Loaded(name="m", size=100, size_vram=60),),
    )
    (problem,) = about_server(facts, answers=True)
    assert (problem.rule, problem.area) == ("on-cpu", "models")
    assert problem.what.startswith("40% of m")
    alone = msgspec.structs.replace(facts, gpus=())
    assert list(about_server(alone, answers=True)) == []


@pytest.mark.parametrize(
    ("way", "fix"),
    [
        ("systemd", "sudo systemctl start my.service"),
        ("docker", "docker start my.service"),
        (None, "ollama serve, or give its address with --url"),
    ],
)
def test_a_server_that_is_down_is_started_in_its_own_way(way: str | None, fix: str) -> None:
    ollama = msgspec.convert({"installed": way, "unit": "my.service"}, Ollama)
    (problem,) = about_server(Facts(ollama=ollama), answers=False)
    assert problem.fix == fix


def test_an_old_ollama_and_one_without_models_are_told() -> None:
    facts = Facts(ollama=Ollama(version="0.9.6"))
    found = {one.rule: one.level for one in about_server(facts, answers=True)}
    assert found == {"no-models": "error", "old-ollama": "warning"}


def test_what_others_rest_on_comes_first() -> None:
    def problem(area: str, level: str) -> Problem:
        about = {"area": area, "rule": "x", "level": level, "what": "", "fix": ""}
        return msgspec.convert(about, Problem)

    mixed = [problem("settings", "error"), problem("ollama", "note"), problem("redis", "error")]
    assert [one.area for one in ordered(mixed)] == ["redis", "settings", "ollama"]
