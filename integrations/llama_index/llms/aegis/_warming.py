"""What the requests of a model of LlamaIndex look like, for a warm-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aegis_llm.config import AegisConfig
from llama_index.llms.aegis._embedder import LlamaIndexEmbedder

if TYPE_CHECKING:
    from aegis_llm.bootstrap.warming import Server, Traffic

_STOCK = "OllamaEmbedding"


class Warms:
    """Tells `aegis_llm.bootstrap.warming.bootstrap` what it is to make ready."""

    def traffic(self) -> Traffic:
        """Return what the requests look like: servers, model, options, cache; asks nobody."""
        from aegis_llm.bootstrap.warming import Cache, Traffic

        model: Any = self
        links, service = model._links, model._cached_by
        config = service.rules.cache
        awaited = links.given[0] is None and links.given[1] is not None
        embedder, beside = None, None
        if model.embed_model is not None:
            beside = traffic_of_embeddings(model.embed_model)
            if service.rules.semantic:
                embedder = LlamaIndexEmbedder(model.embed_model, config.embedding_id)
        return Traffic(
            kind="chat",
            model=model.model,
            servers=tuple(server_of(url, options) for url, options in links.servers),
            options=model._model_kwargs,
            extra={} if model.thinking is None else {"think": model.thinking},
            keep_alive=model.keep_alive,
            scheduler=(model.aegis or AegisConfig()).scheduler,
            fleet=links.fleet(awaited=awaited),
            cache=Cache(
                config=config,
                store=service.store,
                digests=service.digests,
                models=((model.server(awaited=awaited), model.model),),
                embedder=embedder,
            ),
            beside=() if beside is None else (beside,),
        )


def traffic_of_embeddings(embed_model: Any) -> Traffic | None:
    """Return the requests of an embedding model on an Ollama; None for all others."""
    from aegis_llm.bootstrap.warming import Traffic

    told = getattr(embed_model, "traffic", None)
    if callable(told):
        found: Traffic = told()
        return found
    if type(embed_model).__name__ != _STOCK:
        return None
    return Traffic(
        kind="embedding",
        model=embed_model.model_name,
        servers=(server_of(embed_model.base_url, getattr(embed_model, "client_kwargs", {})),),
        options=dict(embed_model.ollama_additional_kwargs or {}),
        keep_alive=getattr(embed_model, "keep_alive", None),
    )


def server_of(url: str, options: dict[str, Any]) -> Server:
    """Return a server whose clients are all made with the same arguments."""
    from aegis_llm.bootstrap.warming import Server
    from aegis_llm.ollama_servers import urls_of

    return Server(url=urls_of([url])[0], options=options, async_options=options)
