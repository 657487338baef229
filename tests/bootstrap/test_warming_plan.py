"""What a warm-up makes of the answers of a server, without any server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.bootstrap.warming import WarmedServer
from aegis_llm.bootstrap.warming.effects import CallError, Model, Send
from tests.bootstrap.warming_kit import MODEL, SYSTEM, Ollama, resident

PREFIX = {"messages": [{"role": "system", "content": SYSTEM}]}


def test_a_model_is_loaded_with_the_runner_options_of_its_requests_alone() -> None:
    ollama = Ollama()
    options = {"num_ctx": 8192, "temperature": 0.1, "stop": ["."], "num_thread": None}

    server = ollama.warmed(Model(name=MODEL, options=options, keep_alive="30m"))

    (sent,) = ollama.posted("/api/chat")
    assert sent == {
        "model": MODEL,
        "messages": [],
        "stream": False,
        "options": {"num_ctx": 8192},
        "keep_alive": "30m",
    }
    (model,) = server.models
    assert (model.state, model.context, model.problem, model.again_s) == (
        "loaded", 8192, "", 0.002,
    )  # fmt: skip
    assert ollama.told() == [True]


def test_without_options_and_keep_alive_none_is_sent() -> None:
    ollama = Ollama()
    ollama.warmed(Model(name=MODEL))
    assert ollama.posted("/api/chat") == [
        {"model": MODEL, "messages": [], "stream": False, "options": {}}
    ]


def test_a_model_that_is_there_is_left_as_it_is() -> None:
    ollama = Ollama(ps={"models": [resident()]})
    ollama.took = 0.003
    (model,) = ollama.warmed().models
    assert (model.state, model.load_s) == ("already", None)


@pytest.mark.parametrize(("context", "took"), [(4096, 0.003), (8192, 3.0)])
def test_a_model_with_other_options_is_said_to_be_loaded_anew(context: int, took: float) -> None:
    ollama = Ollama(ps=[{"models": [resident(context_length=context)]}, {"models": [resident()]}])
    ollama.took = took
    (model,) = ollama.warmed().models
    assert (model.state, model.load_s, model.problem) == ("reloaded", took, "")


def test_a_model_that_is_missing_is_not_asked_for() -> None:
    ollama = Ollama()
    server = ollama.warmed(Model(name="qwen3:8b"), Model(name=MODEL))
    assert [model.state for model in server.models] == ["missing", "loaded"]
    assert server.models[0].problem == (
        "qwen3:8b is missing at http://gpu:11434; `ollama pull qwen3:8b`"
    )
    assert len(ollama.posted("/api/chat")) == 1


@pytest.mark.parametrize("tags", [CallError("refused", "", 403), {"models": "none"}])
def test_a_server_that_does_not_tell_its_models_is_asked_to_load(tags: Any) -> None:
    ollama = Ollama(tags=tags, ps=tags)
    (model,) = ollama.warmed().models
    assert model.state == "loaded"
    assert model.note == "the server does not tell what is loaded (/api/ps)"


def test_a_model_that_embeds_is_loaded_by_its_own_route() -> None:
    refused = CallError("refused", '"bert" does not support chat', 400)
    ollama = Ollama(chat=refused)
    (model,) = ollama.warmed(Model(name="all-minilm")).models
    assert (model.kind, model.state) == ("embedding", "loaded")
    assert ollama.posted("/api/embed")[0]["input"] == []


def test_what_a_later_model_pushed_out_is_told() -> None:
    ollama = Ollama(ps=[{"models": []}, {"models": [resident("all-minilm:latest")]}])
    server = ollama.warmed(Model(name=MODEL), Model(name="all-minilm", kind="embedding"))
    assert "OLLAMA_MAX_LOADED_MODELS" in server.models[0].problem
    assert server.models[1].problem == ""


def test_a_model_partly_on_the_gpu_is_told_and_one_on_the_cpu_noted() -> None:
    ollama = Ollama(ps=[{"models": []}, {"models": [resident(size_vram=5 << 30)]}])
    (model,) = ollama.warmed().models
    assert model.problem.startswith(f"only 62% of the 8.0 GiB of {MODEL} are on the GPU")

    ollama = Ollama(ps=[{"models": []}, {"models": [resident(size_vram=0)]}])
    (model,) = ollama.warmed().models
    assert (model.note, model.problem) == ("it computes on the CPU", "")


def test_another_context_is_told_unless_the_model_was_trained_for_no_more() -> None:
    ps = [{"models": []}, {"models": [resident(context_length=4096)]}]
    (model,) = Ollama(ps=ps).warmed().models
    assert "has a context of 4096 tokens in place of 8192" in model.problem

    show = {"model_info": {"llama.context_length": 4096}}
    (model,) = Ollama(ps=ps, show=show).warmed().models
    assert model.note == "its context is 4096, for which it was trained, not 8192"
    assert model.problem == ""


def test_a_request_that_loads_the_model_again_is_told() -> None:
    (model,) = Ollama(sent={"load_duration": 2_300_000_000}).warmed().models
    assert "loaded llama3.1:8b at http://gpu:11434 again (2.3 s)" in model.problem


def test_a_prefix_goes_to_as_many_slots_as_there_may_be() -> None:
    sent = [
        {"prompt_eval_count": 900, "prompt_eval_duration": nanoseconds}
        for nanoseconds in (900_000_000, 950_000_000, 2_000_000, 3_000_000)
    ]
    ollama = Ollama(sent=sent)

    server = ollama.warmed(prefixes=(PREFIX,))

    (prefix,) = server.prefixes
    assert (prefix.tokens, prefix.sent, prefix.read) == (900, 4, 2)
    (bodies,) = [one.bodies for one in ollama.log if isinstance(one, Send)]
    assert len(bodies) == 4
    assert bodies[0]["messages"][0] == PREFIX["messages"][0]
    assert bodies[0]["messages"][1]["role"] == "user"
    assert bodies[0]["options"] == {"num_ctx": 8192, "num_predict": 1}
    assert server.models[0].again_s == 0.0


def test_the_slots_are_shared_by_several_prefixes() -> None:
    ollama = Ollama()
    server = ollama.warmed(prefixes=(PREFIX, PREFIX, PREFIX), num_parallel=7)
    assert [prefix.sent for prefix in server.prefixes] == [2, 2, 2]


def test_a_prefix_that_was_read_before_is_found() -> None:
    ollama = Ollama(sent={"prompt_eval_count": 900, "prompt_eval_duration": 4_000_000})
    ollama.rate = 0.001
    (prefix,) = ollama.warmed(prefixes=(PREFIX,)).prefixes
    assert (prefix.sent, prefix.read) == (4, 0)


def test_a_prefix_that_fills_the_context_is_told() -> None:
    ollama = Ollama(sent={"prompt_eval_count": 8000})
    (prefix,) = ollama.warmed(prefixes=(PREFIX,)).prefixes
    assert prefix.problem.startswith("prefix 1 takes 8,000 of the 8,192 tokens")


def test_what_the_process_of_the_model_says_is_shown_in_plain_words() -> None:
    text = '{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size'
    refused = CallError("refused", text + ' (4 tokens), try increasing it"}}', 400)
    (prefix,) = Ollama(sent=refused).warmed(prefixes=(PREFIX,)).prefixes
    assert prefix.problem == (
        "prefix 1 is too long for llama3.1:8b: Ollama says: request (9 tokens) exceeds the"
        " available context size (4 tokens), try increasing it; shorten it, or raise num_ctx"
        " (OLLAMA_CONTEXT_LENGTH)"
    )
    assert (prefix.sent, prefix.tokens) == (0, 0)


def test_options_that_a_model_cannot_be_loaded_with_are_agreed_on_no_more() -> None:
    ollama = Ollama(chat=CallError("refused", "out of memory", 500))
    (model,) = ollama.warmed().models
    assert (model.state, ollama.told()) == ("failed", [False])
    assert model.problem.endswith("was not loaded: Ollama says: out of memory")


def test_requests_that_unload_the_model_are_no_traffic_to_warm_for() -> None:
    ollama = Ollama()
    (model,) = ollama.warmed(Model(name=MODEL, keep_alive=0)).models
    assert (model.state, ollama.posted("/api/chat")) == ("failed", [])
    assert "leave keep_alive=0 out" in model.problem


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("down", "no Ollama answers at http://gpu:11434; start it"),
        ("timeout", "takes connections and does not answer"),
        ("odd", "is no Ollama"),
    ],
)
def test_a_server_that_cannot_be_asked_is_one_problem(why: Any, said: str) -> None:
    server = Ollama(version=CallError(why)).warmed()
    assert said in server.problem
    assert server.models == ()


JUNK = st.sampled_from([
    None, True, -1, 7, 1 << 70, 1e300, float("nan"), "", "x", [], {}, [{}], [{"name": 3}], [None],
    [{"name": MODEL}], [{"name": MODEL, "size": -1, "size_vram": 7}], {"a.context_length": "x"},
])  # fmt: skip
FIELDS = (
    "version", "models", "model_info", "prompt_eval_count", "prompt_eval_duration",
    "load_duration",
)  # fmt: skip
BODIES = st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=4)
ERRORS = st.builds(
    CallError,
    st.sampled_from(["down", "timeout", "refused", "busy", "odd"]),
    st.sampled_from(["", "no", '{"error": 3}', '"bert" does not support chat']),
    st.sampled_from([0, 400, 404, 500]),
)
PATHS = ("version", "tags", "ps", "chat", "embed", "show", "sent")
REPLIES = dict.fromkeys(PATHS, st.lists(BODIES | ERRORS, min_size=1, max_size=3))


@given(st.fixed_dictionaries({}, optional=REPLIES))
def test_whatever_a_server_answers_the_warm_up_ends_with_a_result(replies: Any) -> None:
    models = (
        Model(name=MODEL, options={"num_ctx": 8192}),
        Model(name="all-minilm", kind="embedding"),
    )
    server = Ollama(**replies).warmed(*models, prefixes=(PREFIX,))
    assert isinstance(server, WarmedServer)
    assert server.problem or len(server.models) == 2
