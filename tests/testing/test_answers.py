"""What the simulated model says: extracted, filled in, always the same."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.testing import answers, filling
from aegis_llm.testing.reading import Reading, read
from aegis_llm.testing.words import sentences, tokens

FACTS = "Returns are accepted within 30 days. Shipping takes 5 days. Gift cards never expire."


def say(*texts: tuple[str, str]) -> str:
    return answers.answer(read([{"role": role, "content": text} for role, text in texts]))


LLAMA_INDEX = (
    "Context information is below.\n---------------------\nfile: a.txt\n\n{facts}\n"
    "---------------------\nGiven the context information and not prior knowledge, "
    "answer the query.\nQuery: {question}\nAnswer: "
)
LANGCHAIN = (
    "Use the following pieces of context to answer the question at the end. If you don't know "
    "the answer, just say that you don't know.\n\n{facts}\n\nQuestion: {question}\n"
    "Helpful Answer:"
)
HUB = (
    "You are an assistant for question-answering tasks.\nQuestion: {question} \n"
    "Context: {facts} \nAnswer:"
)
TAGGED = "<context>\n{facts}\n</context>\n\n{question}"


@pytest.mark.parametrize("template", [LLAMA_INDEX, LANGCHAIN, HUB, TAGGED])
@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How long does shipping take?", "Shipping takes 5 days."),
        ("Do gift cards expire?", "Gift cards never expire."),
        ("Are returns accepted?", "Returns are accepted within 30 days."),
    ],
)
def test_the_best_sentence_of_the_context(template: str, question: str, expected: str) -> None:
    prompt = template.format(facts=FACTS, question=question)
    assert say(("user", prompt)) == expected


def test_context_in_the_system_message() -> None:
    system = f"Use the given context to answer the question. Context: {FACTS}"
    assert say(("system", system), ("user", "How long is shipping?")) == "Shipping takes 5 days."


def test_another_context_gives_another_answer() -> None:
    other = LLAMA_INDEX.format(facts="Shipping takes 9 days.", question="How long is shipping?")
    assert say(("user", other)) == "Shipping takes 9 days."


def test_a_figure_that_the_context_lacks_is_named() -> None:
    asked = [
        LLAMA_INDEX.format(facts=FACTS, question=f"Returns after {n} days?") for n in (30, 90)
    ]
    assert say(("user", asked[0])) == "Returns are accepted within 30 days."
    assert say(("user", asked[1])).endswith("(The context does not mention 90.)")


def test_no_answer_in_the_context() -> None:
    prompt = LLAMA_INDEX.format(facts=FACTS, question="Who founded Rome?")
    assert say(("user", prompt)) == 'The context does not say anything about "Who founded Rome?".'


def test_without_context() -> None:
    assert say(("user", "Hello")) == "Hello! How can I help you today?"
    assert say(("user", "What is 6 * 7?")) == "6 * 7 is 42."
    assert say(("user", "Who are you?")) == 'This is a simulated answer to "Who are you?".'
    follow_up = say(("user", "Who is Ada?"), ("assistant", "A poet."), ("user", "Why?"))
    assert follow_up == 'This is a simulated answer to "Why?", asked after "Who is Ada?".'
    assert say() == "How can I help you?"


def test_a_question_to_be_rephrased_comes_back() -> None:
    prompt = (
        "Rewrite the message to be a standalone question.\n\n<Chat History>\nuser: hi\n\n"
        "<Follow Up Message>\nAnd how long does it take?\n\n<Standalone question>\n"
    )
    assert say(("user", prompt)) == "And how long does it take?"


def test_tool_results_are_repeated() -> None:
    assert "18 degrees" in say(
        ("user", "How warm is it?"), ("assistant", ""), ("tool", "18 degrees")
    )


@given(st.text())
def test_tokens_join_to_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_answered_the_same_way_twice(system: str, question: str) -> None:
    said = say(("system", f"Context: {system}"), ("user", question))
    assert said
    assert said == say(("system", f"Context: {system}"), ("user", question))


def test_sentences() -> None:
    assert sentences("One. Two!\n- three\n---\n\u4f60\u597d\u3002\u518d\u89c1\u3002") == [
        "One.", "Two!", "three", "\u4f60\u597d\u3002", "\u518d\u89c1\u3002",
    ]  # fmt: skip


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


NUMBER, TEXT = {"type": "integer"}, {"type": "string"}
WEATHER = tool("get_weather", "Get the weather of a city.", city=TEXT)
ADD = tool("add", "Add two numbers.", a=NUMBER, b=NUMBER)


@pytest.mark.parametrize(
    ("question", "name", "arguments"),
    [
        (
            "What is the weather in San Francisco, CA?",
            "get_weather",
            {"city": "San Francisco, CA"},
        ),
        ("What is 3 + 4", "add", {"a": 3, "b": 4}),
        ("Call add with b = 2 and a = 1", "add", {"a": 1, "b": 2}),
        ("Tell me about Rome.", None, {}),
    ],
)
def test_the_fitting_tool_is_called(
    question: str, name: str | None, arguments: dict[str, Any]
) -> None:
    chosen = filling.choose_tool([WEATHER, ADD], question)
    assert (chosen["name"] if chosen else None) == name
    if chosen:
        assert filling.fill(chosen["parameters"], Reading(question)) == arguments


def test_texts_of_other_scripts_and_quotes_are_taken_as_they_are() -> None:
    chosen = tool("create_customer", "Create a customer.", customer_name=TEXT)["function"]
    found = filling.fill(chosen["parameters"], Reading("Create a customer named '\u5f20\u4f1f'."))
    assert found == {"customer_name": "\u5f20\u4f1f"}
    found = filling.fill(chosen["parameters"], Reading("Create the customer \u5f20\u4f1f."))
    assert found == {"customer_name": "\u5f20\u4f1f"}


def test_values_come_from_the_context() -> None:
    reading = Reading("How long does shipping take?", tuple(sentences(FACTS)))
    schema = {"type": "object", "properties": {"days": NUMBER}, "required": ["days"]}
    assert filling.fill(schema, reading) == {"days": 5}


def test_keys_named_in_the_question() -> None:
    reading = Reading("A joke about cats as JSON with 'setup' and 'punchline' keys.")
    assert list(filling.fill_json(reading, "x")) == ["setup", "punchline"]


LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from([TEXT, NUMBER, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]),
    st.builds(
        lambda low, span: {"type": "integer", "minimum": low, "maximum": low + span},
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.builds(lambda n: {"type": "string", "minLength": n, "maxLength": n + 3}, st.integers(0, 9)),
    st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=4), min_size=1)),
    st.builds(lambda value: {"const": value}, st.integers()),
    st.just({"type": ["string", "null"]}),
)
KEYS = st.sampled_from(["name", "age", "city", "is_open", "items"])


def _deeper(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.builds(
            lambda items, least: {"type": "array", "items": items, "minItems": least},
            inner,
            st.integers(0, 3),
        ),
        st.builds(
            lambda properties: {
                "type": "object",
                "properties": properties,
                "required": list(properties)[::2],
            },
            st.dictionaries(KEYS, inner, max_size=4),
        ),
        st.builds(lambda one: {"anyOf": [{"type": "null"}, one]}, inner),
    )


def valid(schema: Mapping[str, Any], value: Any) -> bool:
    """Check the few keywords that the schemas of this test use."""
    if "anyOf" in schema:
        return any(valid(one, value) for one in schema["anyOf"])
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return any(_is(kind, schema, value) for kind in kinds)


def _is(kind: str, schema: Mapping[str, Any], value: Any) -> bool:
    if kind == "object":
        properties = schema["properties"]
        return set(schema["required"]) <= set(value) <= set(properties) and all(
            valid(properties[key], inner) for key, inner in value.items()
        )
    if kind == "array":
        return len(value) >= schema["minItems"] and all(valid(schema["items"], v) for v in value)
    if kind == "string":
        fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf)
        return isinstance(value, str) and fits
    if kind == "integer":
        fits = schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
        return type(value) is int and fits
    return isinstance(value, {"number": int | float, "boolean": bool, "null": type(None)}[kind])


@settings(max_examples=200)
@given(
    st.recursive(LEAVES, _deeper, max_leaves=8),
    st.one_of(st.text(max_size=60), st.just('Open "Blue Door" in Paris at 5, not 7.')),
)
def test_what_is_filled_in_is_valid(schema: dict[str, Any], question: str) -> None:
    assert valid(schema, filling.fill(schema, Reading(question, ("Paris has 3 doors.",))))


def test_references_and_recursion() -> None:
    schema = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"name": TEXT, "next": {"$ref": "#/$defs/Node"}},
                "required": ["name", "next"],
            }
        },
        "$ref": "#/$defs/Node",
    }
    found = filling.fill(schema, Reading("x"))
    assert found["next"]["next"]["name"]
