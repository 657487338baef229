"""The password of Redis is in no text that a person or a tool may see."""

from __future__ import annotations

import io
import logging
import pprint
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any

import pytest
from langchain_core.callbacks import StdOutCallbackHandler
from langchain_core.globals import set_debug, set_llm_cache
from langchain_core.load import dumpd, dumps
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from langchain_core.tracers import BaseTracer, Run

from aegis_llm import AegisConfig, ConfigError, NotCachedError, cache_control, observe
from aegis_llm.errors import StoreTrouble
from langchain_aegis import AegisCache, ChatAegis
from tests.langchain.fakes import Named
from tests.langchain.kit import Kit, error_of
from tests.redis_server import RedisServer

SECRET = "hunter2-secret"
USER = "someone-secret"
URL = f"redis://{USER}:{SECRET}@127.0.0.1:6399/0?password={SECRET}"
ASKED = "What is the capital of France?"


@pytest.fixture(autouse=True)
def _nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    clean(caplog.text)
    for record in caplog.records:
        clean(repr(record.__dict__))


def clean(text: Any) -> None:
    assert SECRET not in str(text)
    assert USER not in str(text)


class Tracer(BaseTracer):
    """Keeps every run, as a tracing service would."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.kept.append(run)


SHOWN: dict[str, Callable[[Any], Any]] = {
    "repr": repr,
    "str": str,
    "format": lambda model: f"{model!r:>10}",
    "pprint": pprint.pformat,
    "rich": lambda model: list(model.__rich_repr__()),
    "repr args": lambda model: model.__repr_args__(),
    "model_dump": lambda model: model.model_dump(),
    "model_dump all": lambda model: model.model_dump(mode="json", exclude_none=True),
    "model_dump_json": lambda model: model.model_dump_json(),
    "asdict": lambda model: model.asdict(),
    "dumpd": dumpd,
    "dumps": dumps,
    "to_json": lambda model: model.to_json(),
    "to_json_not_implemented": lambda model: model.to_json_not_implemented(),
    "identity": lambda model: model._identifying_params,
    "llm string": lambda model: model._get_llm_string(),
    "tracing": lambda model: model._get_ls_params(),
    "secrets": lambda model: model.lc_secrets,
    "attributes": lambda model: model.lc_attributes,
    "schema": lambda model: model.config_schema().model_json_schema(),
    "graph": lambda model: (model | StrOutputParser()).get_graph().draw_mermaid(),
    "chain": lambda model: repr(ChatPromptTemplate.from_template("{x}") | model),
    "bound": lambda model: repr(model.bind(stop=["x"])),
    "tools": lambda model: repr(model.bind_tools([])),
    "configurable": lambda model: repr(
        model.configurable_fields(temperature=ConfigurableField(id="t"))
    ),
    "parts": lambda model: repr(model.__pydantic_private__),
    "service": lambda model: repr(vars(model._answering.service)),
    "store": lambda model: repr(vars(model._answering.service.store)),
    "rules": lambda model: repr(model._answering.service.rules),
}


@pytest.mark.parametrize("how", SHOWN)
def test_a_model_shows_no_password(how: str) -> None:
    for model in (
        ChatAegis(model="m", redis_url=URL),
        ChatAegis(model="m", aegis=AegisConfig().with_options(redis_url=URL)),
    ):
        clean(SHOWN[how](model))


def test_a_cache_shows_no_password() -> None:
    cache = AegisCache(redis_url=URL)
    for text in (repr(cache), str(cache), repr(vars(cache)), repr(vars(cache._service))):
        clean(text)
    config = AegisConfig().with_options(redis_url=URL)
    for text in (repr(config), str(config), repr(config.cache)):
        clean(text)
    clean(repr(cache.bind(Named())))
    clean(dumps(cache.bind(Named())))


BAD: list[dict[str, Any]] = [
    {"redis_url": URL.replace("redis:", "http:")},
    {"redis_url": URL.replace("redis://", "")},
    {"redis_url": URL, "ttl": -1},
    {"redis_url": URL, "similarity": 2},
    {"redis_url": URL, "namespace": "a b"},
    {"redis_url": URL, "ttl": "soon"},
    {"redis_url": URL, "temperature": "hot"},
    {"redis_url": URL, "nonsense": 1},
    {"redis_url": URL, "embeddings": "minilm"},
    {"redis_url": URL, "aegis": {"redis_url": URL}},
    {"redis_url": [URL]},
    {"redis_urls": URL},
    {"redis_url": URL.replace(":6399", ":port")},
]


@pytest.mark.parametrize("given", BAD, ids=lambda given: "-".join(given))
def test_a_wrong_setting_shows_no_password(given: dict[str, Any]) -> None:
    for make in (lambda: ChatAegis(model="m", **given), lambda: AegisCache(**given)):
        try:
            make()
        except (ValueError, TypeError) as exc:
            clean(str(exc))
            clean(repr(exc))
            clean("".join(traceback.format_exception(exc)[-1:]))


def test_our_own_settings_raise_our_own_error() -> None:
    for given in ({"ttl": -1}, {"similarity": 2}, {"namespace": "a b"}, {"nonsense": 1},
                  {"redis_url": "http://x"}, {"redis_timeout_ms": 1}):  # fmt: skip
        with pytest.raises(ConfigError):
            ChatAegis(model="m", **given)
    with pytest.raises(ConfigError, match="similarity"):
        ChatAegis(model="m", similarty=0.9)
    with pytest.raises(ConfigError, match=r"redis_timeout_ms=\.\.\."):
        ChatAegis(model="m", redis_timeout_ms=5)


def test_what_the_stock_model_takes_and_ignores_is_taken() -> None:
    ChatAegis(model="m", max_tokens=5, timeout=5, max_retries=5, streaming=True, api_key="k")


@pytest.mark.parametrize("alive", [True, False])
async def test_runs_show_no_password(kit: Kit, alive: bool) -> None:
    with RedisServer(password=SECRET) as server:
        url = server.url
        if not alive:
            server.kill()
        kit.redis_url = url
        tracer = Tracer()
        model = kit.aegis(local_max_bytes=0)
        chain = ChatPromptTemplate.from_template("{x}") | model | StrOutputParser()
        told = io.StringIO()
        set_debug(True)
        try:
            with redirect_stdout(told), observe() as seen:
                config = {"callbacks": [tracer, StdOutCallbackHandler()]}
                for _ in range(2):
                    chain.invoke({"x": ASKED}, config=config)
                    await chain.ainvoke({"x": ASKED}, config=config)
                    list(chain.stream({"x": ASKED}, config=config))
                kit.ollama.faults.status(500, {"error": "boom"}, path="/api/chat")
                error_of(lambda: chain.invoke({"x": "something else"}, config=config))
                with cache_control(only_if_cached=True), pytest.raises(NotCachedError) as missing:
                    chain.invoke({"x": "another thing"}, config=config)
        finally:
            set_debug(False)
        assert len(tracer.kept) >= 7
        clean(told.getvalue())
        clean(repr(seen))
        clean(missing.value)
        for run in tracer.kept:
            clean(run.model_dump_json() if hasattr(run, "model_dump_json") else run.json())
            clean(repr(run))
        if alive:
            assert "hit_exact" in seen.outcomes


async def test_a_cache_in_trouble_shows_no_password(kit: Kit) -> None:
    with RedisServer(password=SECRET) as server:
        kit.redis_url = server.url
        cache = kit.cache()
        set_llm_cache(cache)
        Named().invoke(ASKED)
        server.kill()
        Named().invoke(ASKED)
        for clear in (cache.clear, cache.aclear):
            with pytest.raises(StoreTrouble) as caught:  # noqa: PT012
                cleared = clear()
                if cleared is not None:
                    await cleared
            clean(caught.value)
            clean("".join(traceback.format_exception(caught.value)))
