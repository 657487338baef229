"""The speed of a model on a real Ollama, by five short requests."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import ollama

from aegis_llm.batching.jobs import Reply, reply_of
from aegis_llm.cli_parts import refuse
from aegis_llm.config import safe_url
from aegis_llm.errors import AegisError

_TIMEOUT_S = 300.0
_WORDS = 400
_TOKENS = 64
_WAITED = 0.1


class Measured(NamedTuple):
    """Tokens a second of one slot, and how far a second busy slot slows it; None: not seen."""

    prefill: float
    decode: float
    contention: float | None


def measure(url: str, model: str) -> Measured:
    """Ask a model a few short things and return its speed.

    It loads the model if it is not loaded, and is slowed by whatever else the server does.

    Raises:
        AegisError: The server does not answer, has no such model, or tells no times.
    """
    try:
        client = ollama.Client(host=url, timeout=_TIMEOUT_S)
    except (ValueError, httpx.InvalidURL):
        refuse(f"The address {safe_url(url)} is not usable.")

    def ask(prompt: str, tokens: int) -> Reply:
        options = {"num_predict": tokens, "temperature": 0}
        said = client.generate(model, prompt, options=options, stream=False)
        reply = reply_of(said.model_dump())
        if reply is None:
            msg = f"Ollama at {safe_url(url)} tells no times in its replies"
            raise AegisError(msg)
        return reply

    try:
        ask("Hello", 1)  # loads it
        long = ask(_unknown(), 1)
        alone = ask("Write a long story about a lighthouse. " + _unknown(3), _TOKENS)
        with ThreadPoolExecutor(2) as pool:
            prompts = [f"Write a long story about a {what}." for what in ("ship", "storm")]
            pair = list(pool.map(lambda prompt: ask(prompt, _TOKENS), prompts))
    except (ConnectionError, httpx.HTTPError) as exc:
        msg = f"no Ollama answers at {safe_url(url)}"
        raise AegisError(msg) from exc
    except ollama.ResponseError as exc:
        msg = f"Ollama at {safe_url(url)} says: {exc.error}; try `ollama pull {model}`"
        raise AegisError(msg) from exc
    finally:
        client.close()  # type: ignore[no-untyped-call]  # ollama's, untyped
    return speeds(long, alone, pair)


def speeds(long: Reply, alone: Reply, pair: list[Reply]) -> Measured:
    """Return what three kinds of replies say: a long prompt, one answer, two at once.

    Raises:
        AegisError: They say nothing: no prompt was read or nothing was written.
    """
    if not (long.prefill_s and long.prompt_tokens and alone.decode_s and alone.output_tokens):
        msg = "The model wrote nothing that could be timed; give --prefill and --decode instead"
        raise AegisError(msg)
    decode = alone.output_tokens / alone.decode_s
    contention = None
    # Where one of them waited for a slot, they did not write side by side.
    if all(one.decode_s and one.wait_s < _WAITED * one.decode_s for one in pair):
        both = sum(one.output_tokens / one.decode_s for one in pair) / len(pair)
        contention = max(0.0, decode / both - 1)
    return Measured(long.prompt_tokens / long.prefill_s, decode, contention)


def _unknown(words: int = _WORDS) -> str:
    """Return a text that no slot has read before."""
    return " ".join(str(random.randrange(10_000)) for _ in range(words))  # noqa: S311 - no secret
