"""Reading a trace: one request a line, as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from aegis_llm.errors import ConfigError
from aegis_llm.simulate.jobs import Job

_Tokens = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
EXAMPLE = '{"at": 0.5, "prompt_tokens": 900, "output_tokens": 200}'


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    at: Annotated[float, msgspec.Meta(ge=0)]
    prompt_tokens: _Tokens
    output_tokens: _Tokens
    model: str = "model"
    prefix: str = ""
    prefix_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    tenant: str = ""


def read_trace(lines: Iterable[bytes], name: str) -> list[Job]:
    """Return the requests of a file by their times; blank lines are passed over.

    Raises:
        ConfigError: A line is not usable, or there is none; the message names the file and line.
    """
    decoder = msgspec.json.Decoder(_Line)
    jobs = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        where = f"{name}, line {number}"
        try:
            line = decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            msg = f"{where}: {exc}; a line looks like {EXAMPLE}"
            raise ConfigError(msg) from None
        if line.prefix_tokens >= line.prompt_tokens:
            msg = (
                f"{where}: prefix_tokens={line.prefix_tokens} is not less than "
                f"prompt_tokens={line.prompt_tokens}, which holds them and the prompt's own"
            )
            raise ConfigError(msg)
        if line.prefix_tokens and not line.prefix:
            msg = f'{where}: prefix_tokens without a prefix; name it, for example "prefix": "a"'
            raise ConfigError(msg)
        jobs.append(Job(**msgspec.structs.asdict(line)))
    if not jobs:
        msg = f"{name}: no requests; write one a line: {EXAMPLE}"
        raise ConfigError(msg)
    jobs.sort(key=lambda job: job.at)
    return jobs
