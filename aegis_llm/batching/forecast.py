"""How long answers will be, and how fast a model reads and writes: learned from its replies."""

from __future__ import annotations

from collections import OrderedDict

from aegis_llm.batching.jobs import Job, Reply

_USUAL_TOKENS = 256.0
_TEMPLATES = 512
_SHARE = 0.2  # of the newest value in a running mean
PREFILL_RATE, DECODE_RATE = 1500.0, 45.0
"""Tokens a second before anything was measured: an 8B model on a good GPU."""


class Forecast:
    """What the past answers of one model say about the next ones."""

    def __init__(self) -> None:
        self._said: OrderedDict[int, float] = OrderedDict()
        self._usual = _USUAL_TOKENS
        self._prefill = 0.0
        self._decode = 0.0
        self._service = 0.0

    @property
    def service_s(self) -> float:
        """Seconds that a request holds a slot, on the average; 0 when nothing is known."""
        return self._service

    @property
    def prefill_rate(self) -> float:
        """Tokens of a prompt that are read in a second."""
        return self._prefill or PREFILL_RATE

    @property
    def output_cost(self) -> float:
        """What one token of an answer costs, in tokens of a prompt."""
        return self.prefill_rate / (self._decode or DECODE_RATE)

    def tokens(self, template: int, most: int | None) -> float:
        """Return how many tokens the answer may have."""
        said = self._said.get(template, self._usual)
        return said if most is None or most < 0 else min(said, most)

    def note(self, job: Job, reply: Reply, *, cold: bool) -> None:
        """Learn from a reply; `cold` says that nothing of the prompt was in a slot."""
        said = float(reply.output_tokens)
        self._said[job.template] = _mean(self._said.get(job.template), said)
        self._said.move_to_end(job.template)
        if len(self._said) > _TEMPLATES:
            self._said.popitem(last=False)
        self._usual = _mean(self._usual, said)
        if reply.decode_s > 0 and said > 1:
            self._decode = _mean(self._decode or None, said / reply.decode_s)
        # The count holds what was cached, the time does not: only cold prompts tell the speed.
        if cold and reply.prefill_s > 0 and reply.prompt_tokens:
            self._prefill = _mean(self._prefill or None, reply.prompt_tokens / reply.prefill_s)
        self._service = _mean(self._service or None, reply.prefill_s + reply.decode_s)


def _mean(old: float | None, new: float) -> float:
    return new if old is None else (1 - _SHARE) * old + _SHARE * new
