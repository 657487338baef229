"""Every form says the same environment: rendered, then read, it is what it was."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.bootstrap.advice import ModelPlan
from aegis_llm.bootstrap.facts import Facts, Gpu, Ollama
from aegis_llm.bootstrap.rendering import FORMS, Form, is_ours, parse, render
from aegis_llm.bootstrap.rendering.modelfile import SAYS
from aegis_llm.bootstrap.rendering.page import refused
from aegis_llm.errors import ConfigError

TRICKY = [
    *"\"'\\%$^&|<>!`#;=:~*(){}[] -", "%PATH%", "$(A)", "$$", "%%", "\\\\", "\\n", "é", "😀"
]  # fmt: skip
VALUES = st.one_of(
    st.lists(st.sampled_from(TRICKY)).map("".join),
    st.text(st.characters().filter(lambda c: refused(c) is None), max_size=40),
    st.sampled_from(
        ["on", "off", "null", "1e3", "0x10", "~", "- a", "", " ", "'", '"', "\\", "%"]
    ),
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
MODEL = ModelPlan(name="llama3.1:8b", slots=4, context=8192, kv_type="f16", per_token=131072,
                  weights=5 * 2**30, kv=4 * 2**30, compute=2**29)  # fmt: skip
SPARK = Facts(
    gpus=(Gpu(vendor="nvidia", name="GB10"),),
    ollama=Ollama(version="0.32.15", installed="docker", unit="my-ollama"),
)
ENVIRONMENT = {
    "OLLAMA_NUM_PARALLEL": "4",
    "OLLAMA_CONTEXT_LENGTH": "8192",
    "LLAMA_ARG_CACHE_RAM": "2048",
}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "modelfile"])
@given(environment=st.dictionaries(NAMES, VALUES, max_size=5), reason=VALUES)
def test_what_is_read_back_is_what_was_rendered(
    form: Form, environment: dict[str, str], reason: str
) -> None:
    text = render(environment, form, reasons=dict.fromkeys(environment, reason))
    assert parse(text, form) == environment
    assert is_ours(text)


@given(st.dictionaries(st.sampled_from([*SAYS, "OLLAMA_NUM_PARALLEL"]), st.integers(1, 2**31)))
def test_a_modelfile_says_what_it_can_and_names_the_rest(numbers: dict[str, int]) -> None:
    environment = {name: str(number) for name, number in numbers.items()}
    text = render(environment, "modelfile", models=[MODEL])
    said = {name: value for name, value in environment.items() if name in SAYS}
    assert parse(text, "modelfile") == said
    assert "FROM llama3.1:8b\n" in text
    for name in environment.keys() - said.keys():
        assert f"# A Modelfile cannot say {name}=" in text


def test_options_of_a_model_are_stronger_in_its_modelfile() -> None:
    options = {"llama3.1:8b": {"num_ctx": 4096, "num_batch": 512}}
    text = render(ENVIRONMENT, "modelfile", models=[MODEL], options=options)
    assert parse(text, "modelfile") == {"OLLAMA_CONTEXT_LENGTH": "4096"}
    assert "PARAMETER num_batch 512\n" in text
    assert "8192" not in text


@pytest.mark.parametrize("models", [[], [MODEL, MODEL]])
def test_a_modelfile_is_of_one_model(models: list[ModelPlan]) -> None:
    with pytest.raises(ConfigError, match="of one model and"):
        render(ENVIRONMENT, "modelfile", models=models)


def test_a_modelfile_takes_whole_numbers_only() -> None:
    with pytest.raises(ConfigError, match="no whole number"):
        render({"OLLAMA_CONTEXT_LENGTH": "8k"}, "modelfile", models=[MODEL])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "a\tb", "\ud800", "\u2028", "\uffff"])
def test_a_value_that_no_service_can_hold_is_refused(form: Form, value: str) -> None:
    with pytest.raises(ConfigError, match=r"the value of A holds .*U\+.*remove it"):
        render({"A": value}, form, models=[MODEL])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["", "1A", "A B", "A=B", "A\n", "Ä", "A-B", "A;B"])
def test_what_is_no_name_of_a_variable_is_refused(form: Form, name: str) -> None:
    with pytest.raises(ConfigError, match="no name of an environment variable"):
        render({name: "1"}, form, models=[MODEL])


@pytest.mark.parametrize("form", FORMS)
def test_every_value_is_explained_on_one_line(form: Form) -> None:
    reasons = {"OLLAMA_CONTEXT_LENGTH": "3,000 + 500 tokens,\nrounded up \\"}
    lines = render(ENVIRONMENT, form, models=[MODEL], reasons=reasons).splitlines()
    (line,) = [line for line in lines if "3,000" in line]
    assert "3,000 + 500 tokens, rounded up" in line
    assert not line.endswith("\\")
    assert line.strip().startswith(("#", "rem ", "<!--"))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("compose", "{]"),
        ("kubernetes", "- a: ["),
        ("helm", "a: b: c"),
        ("shell", "export A='"),
        ("docker", "docker run -e 'A"),
        ("launchd", "<plist>"),
        ("env", "export A=1"),
    ],
)
def test_text_that_is_not_of_the_form_is_a_sentence(form: Form, text: str) -> None:
    with pytest.raises(ConfigError, match="this is no") as raised:
        parse(text, form)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "launchd"])
def test_an_empty_text_sets_nothing(form: Form) -> None:
    assert parse("", form) == {}


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="no form 'xml'"):
        render({}, "xml")  # type: ignore[arg-type]


def test_gpus_are_given_to_a_container_only_where_there_are_some() -> None:
    assert "--gpus=all" in render({}, "docker", facts=SPARK)
    assert "driver: nvidia" in render({}, "compose", facts=SPARK)
    amd = Facts(gpus=(Gpu(vendor="amd", name="MI300X"),))
    assert "--device /dev/kfd --device /dev/dri" in render({}, "docker", facts=amd)
    assert "ollama/ollama:rocm" in render({}, "docker", facts=amd)
    for facts in (None, Facts(), Facts(gpus=())):
        for form in ("docker", "compose"):
            text = render({}, form, facts=facts)
            assert not any(word in text for word in ("gpu", "device", "rocm", "nvidia"))


def test_a_container_keeps_its_version_and_its_name() -> None:
    text = render(ENVIRONMENT, "docker", facts=SPARK)
    assert text.endswith("ollama/ollama:0.32.15\n")
    assert "--name my-ollama" in text
    assert "# docker rm -f my-ollama\n" in text
    assert "with all of its models that are in no volume" in text
    named = Facts(ollama=Ollama(installed="docker", unit="a; rm -rf /", version="x;y"))
    assert "rm -rf" not in render(ENVIRONMENT, "docker", facts=named)


def test_a_memory_limit_counts_the_prompt_cache_of_each_model() -> None:
    for form in ("kubernetes", "helm"):
        text = render(ENVIRONMENT, form, models=[MODEL, MODEL])
        assert "weights 5.00 + KV cache 4.00 + compute 0.50 = 9.50 GiB" in text
        assert "2048 MiB x 2 models = 4.00 GiB" in text
        by_number = render({**ENVIRONMENT, "OLLAMA_MAX_LOADED_MODELS": "1"}, form)
        assert "2048 MiB x 1 models (OLLAMA_MAX_LOADED_MODELS) = 2.00 GiB" in by_number
        assert "8192 MiB, the default of Ollama 0.30 and later, x 3" in render({}, form)
        assert "no memory limit holds" in render({"LLAMA_ARG_CACHE_RAM": "-1"}, form)
        assert "Prompt cache" not in render({"LLAMA_ARG_CACHE_RAM": "0"}, form)


def test_a_windows_value_that_setx_would_cut_is_refused() -> None:
    assert parse(render({"A": "x" * 1024}, "windows"), "windows") == {"A": "x" * 1024}
    with pytest.raises(ConfigError, match="setx cuts at 1024"):
        render({"A": "x" * 1025}, "windows")


def test_the_refused_characters_are_those_of_controls_and_lines() -> None:
    for code in (*range(0x20), 0x7F, 0x85, 0x2028, 0x2029, 0xD800, 0xFDD0, 0xFFFE, 0xFEFF):
        assert refused(chr(code)), hex(code)
    for character in ' "%$\\é😀\u00a0\u200b':
        assert refused(character) is None, unicodedata.name(character)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "modelfile"])
def test_a_name_that_yaml_takes_for_something_else_stays_a_name(form: Form) -> None:
    names = dict.fromkeys(("NO", "on", "Y", "null", "_1", "TRUE"), "1")
    assert parse(render(names, form), form) == names
