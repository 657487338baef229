"""Every rule of the linter, by what Ollama's sources do with the variable."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.bootstrap.facts import Facts, Gpu, Memory, ModelFacts
from aegis_llm.bootstrap.linting import Finding, environment_of, lint
from aegis_llm.bootstrap.variables import CATALOGUE, NEVER, read, release
from aegis_llm.errors import ConfigError

NEW = "0.32.0"
LLAMA = ModelFacts(
    name="llama3.1:8b",
    layers=32,
    heads=32,
    kv_heads=(8,),
    embedding_length=4096,
    trained_context=131_072,
)


def only(environment: dict[str, str], version: str | None = NEW, **more: Facts) -> Finding:
    (finding,) = lint(environment, version, **more)
    return finding


@pytest.mark.parametrize("name", sorted(NEVER))
def test_a_variable_that_no_release_reads_is_named_with_what_to_do(name: str) -> None:
    finding = only({name: "16"})
    assert (finding.rule, finding.level, finding.variable) == ("never-read", "warning", name)
    assert finding.do


def test_threads_are_set_elsewhere() -> None:
    assert "LLAMA_ARG_THREADS" in only({"OLLAMA_NUM_THREADS": "16"}).do
    assert "num_thread" in only({"OLLAMA_NUM_THREAD": "16"}).do


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OLLAMA_NUM_PARALLELL", "OLLAMA_NUM_PARALLEL"),
        ("OLLAMA_KEEPALIVE", "OLLAMA_KEEP_ALIVE"),
        ("OLLAMA_NUMPARALLEL", "OLLAMA_NUM_PARALLEL"),
        ("OLLAMA_MAX_LOADED_MODEL", "OLLAMA_MAX_LOADED_MODELS"),
        ("OLLAMA_CONTEXT_LENGHT", "OLLAMA_CONTEXT_LENGTH"),
        ("OLLAMA_FLASH_ATTENSION", "OLLAMA_FLASH_ATTENTION"),
        ("OLAMA_NUM_PARALLEL", "OLLAMA_NUM_PARALLEL"),
        ("ollama_num_parallel", "OLLAMA_NUM_PARALLEL"),
        ("LLAMA_ARG_CACHERAM", "LLAMA_ARG_CACHE_RAM"),
        ("LLAMA_ARG_THREAD", "LLAMA_ARG_THREADS"),
    ],
)
def test_a_misspelt_variable_is_told_what_it_should_be(name: str, meant: str) -> None:
    finding = only({name: "4"})
    assert (finding.rule, finding.level) == ("misspelt", "error")
    assert finding.do == f"Write {meant}=4"


def test_what_is_none_of_ollamas_is_passed_over() -> None:
    assert lint({"PATH": "/bin", "LLAMA_CLOUD_API_KEY": "x", "HOME": "/"}, NEW) == ()
    assert only({"OLLAMA_FROBNICATE": "1"}).rule == "unknown"


def test_a_secret_is_not_shown() -> None:
    finding = only({"OLLAMA_API_KEY": "hunter2"})
    assert finding.level == "note"
    assert "hunter2" not in repr(finding)


@pytest.mark.parametrize(
    ("name", "version", "rule"),
    [
        ("OLLAMA_MULTIUSER_CACHE", "0.29.0", None),
        ("OLLAMA_MULTIUSER_CACHE", "0.30.0", "dead"),
        ("OLLAMA_INTEL_GPU", "0.12.10", None),
        ("OLLAMA_INTEL_GPU", "0.12.11", "dead"),
        ("OLLAMA_KV_CACHE_TYPE", "0.4.7", "too-new"),
        ("OLLAMA_CONTEXT_LENGTH", "0.5.12", "too-new"),
        ("OLLAMA_CONTEXT_LENGTH", "0.5.13", None),
        ("LLAMA_ARG_THREADS", "0.24.0", "too-new"),
        ("LLAMA_ARG_THREADS", "0.30.0", None),
        ("LLAMA_ARG_NO_MMAP", "0.30.0", "unknown"),
        ("LLAMA_ARG_CTX_SIZE", "0.30.0", "overridden"),
        ("LLAMA_ARG_N_PARALLEL", "0.33.0-rc2", "overridden"),
        ("LLAMA_ARG_FLASH_ATTN", None, "overridden"),
    ],
)
def test_a_variable_is_measured_against_the_release(
    name: str, version: str | None, rule: str | None
) -> None:
    value = "f16" if "TYPE" in name else "1"
    assert [one.rule for one in lint({name: value}, version)] == ([rule] if rule else [])


def test_without_a_version_a_variable_that_is_gone_is_only_noted() -> None:
    assert only({"OLLAMA_TMPDIR": "/x"}, None).level == "note"


@pytest.mark.parametrize(
    ("name", "value", "rule", "level", "do"),
    [
        ("OLLAMA_FLASH_ATTENTION", "off", "on-not-off", "error", "=0"),
        ("OLLAMA_FLASH_ATTENTION", "disabled", "on-not-off", "error", "=0"),
        ("OLLAMA_FLASH_ATTENTION", "auto", "on-not-auto", "error", "unset"),
        ("OLLAMA_FLASH_ATTENTION", "yes", "unparsable", "note", "=1"),
        ("OLLAMA_FLASH_ATTENTION", "0", "no-flash", "warning", "unset"),
        ("OLLAMA_KEEP_ALIVE", "30min", "unparsable", "error", "30m"),
        ("OLLAMA_KEEP_ALIVE", "1d", "unparsable", "error", "24h"),
        ("OLLAMA_KEEP_ALIVE", "2 hours", "unparsable", "error", "2h"),
        ("OLLAMA_KEEP_ALIVE", "forever", "unparsable", "error", "-1 is forever"),
        ("OLLAMA_KEEP_ALIVE", "0", "no-keep-alive", "warning", "30m"),
        ("OLLAMA_LOAD_TIMEOUT", "0", "endless-load", "warning", "5m"),
        ("OLLAMA_LOAD_TIMEOUT", "5", "short-load", "warning", "5m"),
        ("OLLAMA_LOAD_TIMEOUT", "5min", "unparsable", "error", "5m"),
        ("OLLAMA_NUM_PARALLEL", "four", "unparsable", "error", "digits"),
        ("OLLAMA_NUM_PARALLEL", "-1", "unparsable", "error", "digits"),
        ("OLLAMA_CONTEXT_LENGTH", "8k", "unparsable", "error", "digits"),
        ("OLLAMA_GPU_OVERHEAD", "2GB", "unparsable", "error", "bytes"),
        ("OLLAMA_GPU_OVERHEAD", "2147483648", "no-overhead", "warning", "TARGET=2048 "),
        ("OLLAMA_MAX_QUEUE", "0", "no-queue", "warning", "512"),
        ("OLLAMA_NUM_PARALLEL", "0", "no-slots", "note", "number"),
        ("OLLAMA_KV_CACHE_TYPE", "q8", "cache-type", "error", "q8_0"),
        ("OLLAMA_KV_CACHE_TYPE", "q5_1", "cache-type", "note", "q8_0"),
        ("OLLAMA_DEBUG", "yes", "unparsable", "warning", "1"),
        ("OLLAMA_HOST", "https://10.0.0.1", "no-tls", "note", "HOST:PORT"),
    ],
)
def test_a_value_that_is_read_otherwise_than_it_looks(
    name: str, value: str, rule: str, level: str, do: str
) -> None:
    finding = only({name: value})
    assert (finding.rule, finding.level) == (rule, level)
    assert do in finding.do


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OLLAMA_KEEP_ALIVE", "-1"),
        ("OLLAMA_KEEP_ALIVE", "1h30m"),
        ("OLLAMA_KEEP_ALIVE", '"90"'),
        ("OLLAMA_NUM_PARALLEL", "'1'"),
        ("OLLAMA_FLASH_ATTENTION", "True"),
        ("OLLAMA_FLASH_ATTENTION", ""),
        ("OLLAMA_KV_CACHE_TYPE", "Q8_0"),
        ("OLLAMA_DEBUG", "2"),
        ("OLLAMA_MAX_QUEUE", "512"),
        ("LLAMA_ARG_NO_HOST", "1"),
    ],
)
def test_what_is_right_is_not_mentioned(name: str, value: str) -> None:
    assert lint({name: value}, NEW) == ()


def test_overhead_was_of_use_before_0_30() -> None:
    assert lint({"OLLAMA_GPU_OVERHEAD": "2147483648"}, "0.20.0") == ()


@pytest.mark.parametrize(
    ("flash", "version", "level"),
    [("0", NEW, "error"), ("0", "0.20.0", "warning"), ("", "0.20.0", "warning"), ("", NEW, None)],
)
def test_a_quantized_cache_needs_flash_attention(
    flash: str, version: str, level: str | None
) -> None:
    environment = {"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_FLASH_ATTENTION": flash}
    levels = [one.level for one in lint(environment, version) if one.rule == "quantized-no-flash"]
    assert levels == ([level] if level else [])


def test_slots_without_a_context_cost_what_the_tier_takes() -> None:
    spark = Facts(gpus=(Gpu(vendor="nvidia", name="GB10", memory=121 << 30),), models=(LLAMA,))
    finding = only({"OLLAMA_NUM_PARALLEL": "4"}, facts=spark)
    assert (finding.rule, finding.level) == ("slots-no-context", "error")
    assert "64.0 GiB for llama3.1:8b" in finding.what
    quantized = {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_KV_CACHE_TYPE": "q8_0"}
    assert "34.0 GiB for llama3.1:8b" in only(quantized, facts=spark).what


@pytest.mark.parametrize(
    ("environment", "memory", "version", "rules"),
    [
        ({"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "8192"}, 121, NEW, []),
        ({"OLLAMA_NUM_PARALLEL": "1"}, 121, NEW, []),
        ({"OLLAMA_NUM_PARALLEL": "4"}, 8, NEW, []),  # the default is 4096 there
        ({"OLLAMA_NUM_PARALLEL": "4"}, 121, "0.15.4", []),
        ({"OLLAMA_NUM_PARALLEL": "4"}, 24, "0.15.5", ["slots-no-context"]),
    ],
)
def test_slots_are_cheap_where_the_context_is_small_or_given(
    environment: dict[str, str], memory: int, version: str, rules: list[str]
) -> None:
    facts = Facts(gpus=(Gpu(vendor="nvidia", name="x", memory=memory << 30),), models=(LLAMA,))
    assert [one.rule for one in lint(environment, version, facts=facts)] == rules


def test_slots_without_a_context_are_a_warning_where_the_gpus_are_not_known() -> None:
    assert only({"OLLAMA_NUM_PARALLEL": "4"}).level == "warning"


def test_slots_do_nothing_for_models_that_have_one() -> None:
    facts = Facts(models=(ModelFacts(name="all-minilm", embeds=True),))
    assert only({"OLLAMA_NUM_PARALLEL": "4"}, facts=facts).rule == "one-slot"


def test_prompt_caches_that_may_fill_the_host_memory() -> None:
    facts = Facts(memory=Memory(total=32 << 30), models=(LLAMA, LLAMA, LLAMA))
    finding = only({"OLLAMA_CONTEXT_LENGTH": "4096"}, facts=facts)
    assert (finding.rule, finding.value) == ("prompt-cache", "")
    assert "8 GiB of host memory for each of 3 models" in finding.what
    assert lint({"LLAMA_ARG_CACHE_RAM": "2048"}, NEW, facts=facts) == ()
    assert only({"LLAMA_ARG_CACHE_RAM": "-1"}, facts=facts).rule == "prompt-cache"
    large = Facts(memory=Memory(total=512 << 30), models=(LLAMA,))
    assert lint({}, NEW, facts=large) == ()


def test_two_types_of_the_cache_are_one_too_many() -> None:
    environment = {"OLLAMA_KV_CACHE_TYPE": "q8_0", "LLAMA_ARG_CACHE_TYPE_K": "q4_0"}
    assert only(environment).rule == "overridden"


def test_the_worst_comes_first() -> None:
    environment = {"OLLAMA_API_KEY": "x", "OLLAMA_NUM_GPU": "1", "OLLAMA_KEEP_ALIVE": "1d"}
    levels = [one.level for one in lint(environment, NEW)]
    assert levels == ["error", "warning", "note"]


@pytest.mark.parametrize(
    "text",
    [
        "OLLAMA_NUM_PARALLEL=4\nOLLAMA_KEEP_ALIVE='30m'",
        'export OLLAMA_NUM_PARALLEL=4\nexport OLLAMA_KEEP_ALIVE="30m" # long',
        '[Service]\nEnvironment="OLLAMA_NUM_PARALLEL=4" "OLLAMA_KEEP_ALIVE=30m"',
        "[Service]\n# a\nEnvironment=OLLAMA_NUM_PARALLEL=4 \\\n  OLLAMA_KEEP_ALIVE=30m",
        "environment:\n  OLLAMA_NUM_PARALLEL: 4\n  OLLAMA_KEEP_ALIVE: '30m'",
        "environment:\n  - OLLAMA_NUM_PARALLEL=4\n  - 'OLLAMA_KEEP_ALIVE=30m'",
        'env:\n- name: OLLAMA_NUM_PARALLEL\n  value: "4"\n- name: OLLAMA_KEEP_ALIVE\n  value: 30m',
        "docker run -e OLLAMA_NUM_PARALLEL=4 --env=OLLAMA_KEEP_ALIVE=30m ollama/ollama",
        "ENV OLLAMA_NUM_PARALLEL 4\nENV OLLAMA_KEEP_ALIVE=30m",
        "launchctl setenv OLLAMA_NUM_PARALLEL 4\nlaunchctl setenv OLLAMA_KEEP_ALIVE 30m",
        'setx OLLAMA_NUM_PARALLEL "4"\nsetx OLLAMA_KEEP_ALIVE 30m',
    ],
)
def test_variables_are_read_out_of_any_form(text: str) -> None:
    expected = {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_KEEP_ALIVE": "30m"}
    assert environment_of(text) == expected


def test_a_text_that_sets_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="drop-in sets no variable"):
        environment_of("[Service]\n# nothing\n", "drop-in")


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("0.33.0-rc2", (0, 33, 0)),
        ("v0.9.6", (0, 9, 6)),
        ("0.0.0", None),
        ("x", None),
        (None, None),
    ],
)
def test_a_build_without_a_number_is_of_no_release(
    version: str | None, numbers: tuple[int, int, int] | None
) -> None:
    assert release(version) == numbers


@given(st.sampled_from(sorted(CATALOGUE)), st.text(), st.sampled_from([None, "0.9.0", NEW]))
def test_no_value_breaks_the_linter(name: str, value: str, version: str | None) -> None:
    read(CATALOGUE[name], value)
    lint({name: value}, version)


@given(st.text(), st.text())
def test_no_name_breaks_the_linter(name: str, value: str) -> None:
    lint({name: value, f"OLLAMA_{name}": value}, NEW)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(ConfigError):
        environment_of(text)
