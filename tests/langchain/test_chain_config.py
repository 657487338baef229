"""What a call configures, and what a step reads in its config, belongs to the key of a chain."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from pydantic import AfterValidator, BaseModel, Field

from aegis_llm import observe
from tests.langchain.chain_kit import EVERY_WAY, QUESTION, Way, cached, rag, retriever
from tests.langchain.kit import Kit


def test_what_is_configured_at_run_time_belongs_to_the_key(kit: Kit) -> None:
    from langchain_core.runnables import ConfigurableField

    model = kit.stock().configurable_fields(temperature=ConfigurableField(id="temperature"))
    chain = cached(kit, rag(model, retriever()))
    with observe() as seen:
        for temperature in (0.1, 0.2, 0.1):
            chosen = {"temperature": temperature, "thread_id": object(), "__pregel_read": object()}
            metadata = {"ls_provider": str(temperature), "langgraph_step": object()}
            chain.invoke(QUESTION, {"configurable": chosen, "metadata": metadata})
    assert seen.outcomes == ["miss", "miss", "hit_local"]


def records(question: str, config: RunnableConfig) -> str:
    return f"{config['configurable'].get('user')} of {config['metadata'].get('org')}: {question}"


USERS: list[Any] = [
    {"configurable": {"user": "ann"}},
    {"configurable": {"user": "bob"}},
    {"configurable": {"user": "ann"}, "metadata": {"org": "one"}},
    {"configurable": {"user": "ann"}, "metadata": {"org": "two"}},
]


@EVERY_WAY
async def test_whoever_a_step_reads_in_the_config_gets_his_own_answer(kit: Kit, way: Way) -> None:
    chain = cached(kit, RunnableLambda(records))
    with observe() as seen:
        answers = [await way(chain.with_config(user), QUESTION) for user in USERS * 2]
    assert answers[:4] == answers[4:]
    assert len(set(answers)) == 4
    assert seen.outcomes == ["miss"] * 4 + ["hit_local"] * 4


@EVERY_WAY
async def test_a_config_that_no_key_holds_is_bypassed(kit: Kit, way: Way) -> None:
    chain = cached(kit, RunnableLambda(records))
    with observe() as seen:
        for name in ("configurable", "metadata"):
            given: Any = {"configurable": {"user": "ann"}}
            given[name] = {**given.get(name, {}), "connection": object()}
            assert "ann" in await way(chain.with_config(given), QUESTION)
    assert [(one.outcome, one.reason) for one in seen] == [("bypass", "uncacheable_request")] * 2


def graph(node: Any) -> Any:
    """Return a graph of one node, which has a context."""
    graphs = pytest.importorskip("langgraph.graph", reason="the package langgraph is absent")
    builder = graphs.StateGraph(dict, context_schema=dict)
    builder.add_node("only", node)
    builder.add_edge(graphs.START, "only")
    builder.add_edge("only", graphs.END)
    return builder.compile()


def test_a_node_of_a_graph_reads_the_config(kit: Kit) -> None:
    chain = cached(
        kit, graph(lambda state, config: {"answer": records("", config)}), name="graph-1"
    )
    with observe() as seen:
        answers = [chain.invoke({"question": QUESTION}, user)["answer"] for user in USERS * 2]
    assert answers[:4] == answers[4:]
    assert len(set(answers)) == 4
    assert seen.outcomes == ["miss"] * 4 + ["hit_local"] * 4


def test_a_cached_chain_in_a_graph_hits_and_knows_its_context(kit: Kit) -> None:
    chain = cached(kit, RunnableLambda(records))
    outer = graph(lambda state: {"answer": chain.invoke(state["question"])})
    with observe() as seen:
        for user in ("ann", "bob", "ann"):
            config: Any = {"configurable": {"thread_id": user}}
            outer.invoke({"question": QUESTION}, config, context={"user": user})
    assert seen.outcomes == ["miss", "miss", "hit_local"]


def test_what_is_bound_to_a_step_belongs_to_the_key(kit: Kit) -> None:
    with observe() as seen:
        answers = [
            cached(kit, RunnableLambda(records).with_config(user) | str).invoke(QUESTION)
            for user in USERS
        ]
    assert len(set(answers)) == 4
    assert seen.outcomes == ["miss"] * 4


class Numbered(RunnableLambda[Any, Any]):
    """A step with a number of its own."""

    number = 0

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return f"{self.number} {super().invoke(input, config, **kwargs)}"


def numbered(number: int) -> Numbered:
    step = Numbered(str.upper)
    step.number = number
    return step


def found_by(number: int) -> Any:
    class Found(BaseRetriever):
        _number: int = 0

        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
            return [self._number]

    Found.__module__ = "langchain_app"
    found = Found()
    found._number = number
    return found | str


def validated(number: int) -> Any:
    numbers = AfterValidator(lambda text: f"{number} {text}")

    class Inner(BaseModel):
        text: Annotated[str, numbers]
        rest: str = Field("", max_length=9, pattern="^$")

    class Outer(BaseModel):
        inner: Inner | None = None

    return RunnableLambda(as_json) | PydanticOutputParser(pydantic_object=Outer) | str


def filled(number: int) -> Any:
    class Filled(BaseModel):
        inner: Any
        number: int = Field(default_factory=lambda: number)

    return RunnableLambda(as_json) | PydanticOutputParser(pydantic_object=Filled) | str


def as_json(question: str) -> str:
    return json.dumps({"inner": {"text": question}})


@pytest.mark.parametrize("made", [numbered, found_by, validated, filled])
def test_steps_of_a_user_with_other_numbers_never_share(kit: Kit, made: Any) -> None:
    with observe() as seen:
        one, other = (cached(kit, made(number)).invoke(QUESTION) for number in (1, 2))
    assert "1" in one
    assert "2" in other
    assert seen.outcomes == ["miss", "miss"]
