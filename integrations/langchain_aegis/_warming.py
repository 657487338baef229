"""What the requests of a model of LangChain look like, for a warm-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_ollama import OllamaEmbeddings
from langchain_ollama._utils import merge_auth_headers, parse_url_with_auth

from aegis_llm.config import AegisConfig
from langchain_aegis._embedder import LangChainEmbedder

if TYPE_CHECKING:
    from aegis_llm.bootstrap.warming import Server, Traffic


class Warms:
    """Tells `aegis_llm.bootstrap.warming.bootstrap` what it is to make ready."""

    def traffic(self) -> Traffic:
        """Return what the requests look like: servers, model, options, cache; asks nobody."""
        from aegis_llm.bootstrap.warming import Cache, Server, Traffic

        model: Any = self
        private = model.__pydantic_private__
        body = model._chat_params([])
        service = model._cached_by
        config = service.rules.cache
        embedder, beside = None, None
        if model.embeddings is not None:
            beside = traffic_of_embeddings(model.embeddings)
            if service.rules.semantic:
                embedder = LangChainEmbedder(model.embeddings, config.embedding_id)
        return Traffic(
            kind="chat",
            model=model.model,
            servers=tuple(
                Server(url=url, options=sync, async_options=async_)
                for url, sync, async_ in private["_clients"].servers
            ),
            options=body["options"],
            extra={} if body["think"] is None else {"think": body["think"]},
            keep_alive=body["keep_alive"],
            scheduler=(model.aegis or AegisConfig()).scheduler,
            fleet=private["_fleet"],
            cache=Cache(
                config=config,
                store=service.store,
                digests=service.digests,
                models=((private["_source"].server, model.model),),
                embedder=embedder,
            ),
            beside=() if beside is None else (beside,),
        )


def traffic_of_embeddings(embeddings: Embeddings) -> Traffic | None:
    """Return the requests of embeddings on an Ollama; None for all others."""
    from aegis_llm.bootstrap.warming import Traffic

    if not isinstance(embeddings, OllamaEmbeddings):
        return None
    told = getattr(embeddings, "traffic", None)
    if callable(told):
        found: Traffic = told()
        return found
    return Traffic(
        kind="embedding",
        model=embeddings.model,
        servers=(server_of(embeddings),),
        options=options_of(embeddings),
        keep_alive=embeddings.keep_alive,
    )


def server_of(embeddings: OllamaEmbeddings) -> Server:
    """Return the server of embeddings, and the arguments of their clients."""
    from aegis_llm.bootstrap.warming import Server

    _, headers = parse_url_with_auth(embeddings.base_url)
    shared = dict(embeddings.client_kwargs or {})
    merge_auth_headers(shared, headers)
    assert embeddings._client is not None  # noqa: S101 - the stock validator has set it
    return Server(
        url=str(embeddings._client._client.base_url),
        options={**shared, **(embeddings.sync_client_kwargs or {})},
        async_options={**shared, **(embeddings.async_client_kwargs or {})},
    )


def options_of(embeddings: OllamaEmbeddings) -> dict[str, Any]:
    """Return the options that the requests of embeddings carry."""
    return {name: value for name, value in embeddings._default_params.items() if value is not None}
