"""cache_chain: the answers of a whole chain, cached by its question before it retrieves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from langchain_core.embeddings import Embeddings
from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableLike, coerce_to_runnable

from aegis_llm.config import AegisConfig
from aegis_llm.errors import ConfigError
from aegis_llm.fingerprint import Teller
from aegis_llm.wiring import connect, say_once, say_unjudged, whole_config
from langchain_aegis._asked import Question
from langchain_aegis._cached import CachedChain
from langchain_aegis._embedder import LangChainEmbedder
from langchain_aegis._structure import RemembersError, Structure

I = TypeVar("I")  # noqa: E741 - the names that LangChain gives them
O = TypeVar("O")  # noqa: E741
_LOCAL = (
    "cache_chain: what stands behind the retriever has no name that another process could know, "
    "so the answers of this chain are found by this process only; cache_chain(..., name='...') "
    "shares them"
)


def cache_chain(
    chain: RunnableLike[I, O],
    *,
    question: str | Callable[[Any], str | None] | None = None,
    name: str | None = None,
    redis_url: str | None = None,
    embeddings: Embeddings | None = None,
    aegis: AegisConfig | None = None,
    **options: Any,
) -> Runnable[I, O]:
    """Return a runnable that answers a question again without running the chain.

    A hit skips the retrieval and the model. The entry is stored with the documents that were
    retrieved for it, and dies with them. Everything of the input but the question, and what the
    chain is made of, belongs to the key, and so does what a call configures (`configurable` and
    `metadata` of its config). What a chain reads besides its input - a clock, a database, a file -
    is not in the key, functions of the clock in a prompt's `partial_variables` neither: give it a
    `corpus_version` or a short `ttl`. Texts, numbers, lists, dictionaries, messages and
    documents are stored; other answers are served and not stored. When Redis is down, hung or
    full, the chain answers as it would without this.

    Args:
        chain: What to cache; taken as it is now, later changes to its parts are not seen.
        question: Where the question is: the name of a text in the input, or a function of the
            input. By default the input itself if it is a text, the last message of the user, or
            what stands under `question`, `input` or `query`.
        name: Names the chain instead of what it is made of. Change it with every change of the
            chain: two chains of one name share their answers.
        redis_url: Where answers are kept; see `CacheConfig.redis_url`.
        embeddings: Embeds questions; without it only exact repeats are served.
        aegis: All other settings; what is given here wins over it.
        options: Settings by their names, for example `namespace` or `ttl`.

    Raises:
        ConfigError: An option does not exist or is not usable, or the chain holds what cannot be
            told apart from another (a connection in a function, ...) and has no `name`.
    """
    config = whole_config(aegis, redis_url, options, frozenset({"question"}))
    _check(name, question)
    runnable: Runnable[I, O] = coerce_to_runnable(chain)  # type: ignore[assignment]
    structure = Structure()
    identity = _identity(runnable, question, name, structure)
    embedder = None
    if embeddings is not None:
        embedder = LangChainEmbedder(embeddings, config.cache.embedding_id)
    else:
        say_once("no embeddings given: only exact repeats are answered from the cache")
    say_unjudged(config.cache, "cache_chain")
    answering = connect(config, embedder)
    for source in structure.sources.values():
        answering.service.digests.register(source)
    uses = tuple(sorted(structure.sources))
    return CachedChain(runnable, question, identity, uses, answering)


def _identity(
    chain: Runnable[Any, Any], question: Question, name: str | None, structure: Structure
) -> str:
    """Return the name of a chain; `structure` notes the models that it uses."""
    asked = question if isinstance(question, str | None) else "callable"
    try:
        told = Teller(structure).fingerprint([chain, question])
    except RemembersError as exc:
        raise ConfigError(str(exc)) from exc
    except Exception as exc:
        if name is None:
            msg = (
                f"cache_chain cannot tell this chain from another: {exc}; give it a name, "
                'cache_chain(chain, name="handbook-v1"), and another one when the chain changes'
            )
            raise ConfigError(msg) from exc
    else:
        if name is None and structure.local:
            say_once(_LOCAL)
        if name is None:
            return f"chain {told}"
    return f"chain named {name} asked {asked}"


def _check(name: object, question: object) -> None:
    if name is not None and (not isinstance(name, str) or not name):
        msg = f"cache_chain(name={name!r}): give a text that is not empty"
        raise ConfigError(msg)
    if question is not None and not isinstance(question, str) and not callable(question):
        msg = f"cache_chain(question={question!r}): give the name of an input or a function"
        raise ConfigError(msg)
