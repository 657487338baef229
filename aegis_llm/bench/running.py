"""Runs a plan, step by step, and notes what is measured as it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from aegis_llm.bench import prompts, values
from aegis_llm.bench.memory import Memory
from aegis_llm.bench.plan import (
    THROUGH,
    Speed,
    Step,
    fitted,
    order,
    phases_of,
    prompt_length,
)
from aegis_llm.bench.prompts import Messages, Ruler
from aegis_llm.bench.sending import Around, DownError, Way, moment
from aegis_llm.bench.values import KeepAlive, Phase, Recorded, Sent
from aegis_llm.errors import AegisError
from aegis_llm.keys import normal_model

_LOOK_S = 1.0
_SHORT, _LONG = 20, 120
_ENDS = [".", "\n"]
_LONGER = 4
_LEAST_S, _SPARE_S = 20.0, 8.0
_CUT = 0.7
Tell = Callable[[int, int, str], None]
"""Called before each step with its number, their count and the name of its phase."""


class StoppedError(AegisError):
    """The bench cannot go on; what was measured is kept."""


@dataclass
class Bench:
    """One run of a plan.

    Args:
        recorded: Where everything is noted; it is usable at any time.
        around: Straight to Ollama.
        through: Through the package; None: phases that need it are left out.
        memory: Looks at the memory; None: nobody does.
        tell: Hears of each step.
        told: Hears of the speed that the warm-up shows.
    """

    recorded: Recorded
    around: Around
    through: Way | None = None
    memory: Memory | None = None
    tell: Tell = lambda _n, _of, _name: None
    told: Callable[[Speed], None] = lambda _speed: None
    ruler: Ruler = field(default_factory=Ruler)
    _begun: float = 0.0
    _traffic: Sequence[prompts.Ask] = ()

    async def run(self) -> None:
        """Measure everything.

        Raises:
            StoppedError: The server answers no more, or never did; the reason is noted, too.
        """
        recorded, settings = self.recorded, self.recorded.settings
        self._begun = self.around.clock()
        try:
            await self._look("before")
            speed = await self._warm_up()
            if settings.budget_s is not None:
                settings = recorded.settings = fitted(settings, speed)
            recorded.phases = phases_of(settings)
            self.told(speed)
            self._traffic = prompts.traffic(settings.seed, settings.cache, settings.shares)
            steps = order(recorded.phases, settings)
            if self.through is None:
                steps = [one for one in steps if recorded.phases[one.phase].way == "around"]
            await self._look("rest")
            # A load that took longer than the whole budget leaves time to measure something.
            budget_s = max(settings.budget_s or 0.0, self._now() + _LEAST_S)
            await self._steps(steps, None if settings.budget_s is None else budget_s)
            await self._look("after")
        except DownError as exc:
            msg = f"Ollama answers no more: {exc}"
            raise self._stopped(msg) from exc
        finally:
            recorded.seconds = round(self._now(), 3)

    async def _steps(self, steps: Sequence[Step], budget_s: float | None) -> None:
        """Take the steps; none is begun after the budget, nor goes on long after it."""
        for number, step in enumerate(steps):
            self.tell(number, len(steps), self.recorded.phases[step.phase].name)
            if budget_s is None:
                await self._step(step)
                continue
            left = budget_s - self._now()
            try:
                if left <= 0:
                    raise TimeoutError
                async with asyncio.timeout(left + _SPARE_S):
                    await self._step(step)
            except TimeoutError:
                over = f"the time of {budget_s:.0f} s was over"
                self.recorded.partial = f"{over} after {number} of {len(steps)} steps"
                break

    def _stopped(self, reason: str) -> StoppedError:
        self.recorded.partial = reason
        return StoppedError(reason)

    def _now(self) -> float:
        return self.around.clock() - self._begun

    async def _warm_up(self) -> Speed:
        """Load the model, learn how it counts and how fast it is; nothing is noted."""
        seed = self.recorded.settings.seed
        found = []
        for words in (_SHORT, _LONG):
            body = self._body(prompts.cold(seed, f"warm-up {words}", words, self.recorded.run), 8)
            sent = await self.around.send(body, Sent(-1, 0, 0, 0.0))
            if sent.error:
                msg = f"the first request failed: {sent.error}"
                raise self._stopped(msg)
            found.append((words, sent))
        (_, short), (_, long) = found
        self.ruler = prompts.ruler((_SHORT, short.read), (_LONG, long.read))
        speed = Speed()
        if long.prefill and long.decode:
            load_s = max(short.load or 0.0, 0.0)
            speed = Speed(long.read / long.prefill, long.written / long.decode, load_s=load_s)
        if self.through is not None:
            for question in ("What does the bench ask?", "What is the bench asking?"):
                messages = prompts.with_documents("warm-up", question, self.recorded.run, 1)
                await self.through.send(self._body(messages, 8), Sent(-1, 0, 0, 0.0), question)
        return speed

    async def _step(self, step: Step) -> None:
        phase = self.recorded.phases[step.phase]
        before = len(self.recorded.sent)
        match phase.kind:
            case "load":
                await self._load(step, phase)
            case "prefix":
                await self._prefix(step, phase)
            case "cold":
                await self._cold(step, phase)
            case "cache":
                await self._cache(step, phase)
            case "keep_alive":
                await self._keep_alive(step, phase)
        made = self.recorded.sent[before:]
        if made and all(one.error.startswith(("down", "timeout")) for one in made):
            raise DownError(made[-1].error)

    async def _load(self, step: Step, phase: Phase) -> None:
        places = iter(range(phase.requests))

        async def caller() -> None:
            for place in places:
                words = self.ruler.words(prompt_length(phase, place))
                mark = f"{phase.name.removesuffix(THROUGH)} {step.round} {place}"
                messages = self._prompt(mark, words, phase.way)
                await self._send(step, phase, place, messages, "cold")

        async with self._watched(phase):
            await asyncio.gather(*(caller() for _ in range(phase.callers)))

    async def _prefix(self, step: Step, phase: Phase) -> None:
        seed = self.recorded.settings.seed
        for place, question in enumerate(prompts.document_questions(seed, phase.requests)):
            messages = self._asking(f"prefix {step.round}", question)
            await self._send(step, phase, place, messages, "warm" if place else "cold")

    async def _cold(self, step: Step, phase: Phase) -> None:
        settings = self.recorded.settings
        if not await self.around.unload(normal_model(settings.model)):
            self._note("the model could not be unloaded: somebody else uses it, or it is pinned")
            return
        for place, label in enumerate(("cold", "warm")):
            words = self.ruler.words(phase.prompt_tokens)
            messages = self._prompt(f"cold {step.round} {place}", words, phase.way)
            await self._send(step, phase, place, messages, label)

    async def _cache(self, step: Step, phase: Phase) -> None:
        for place, ask in enumerate(self._traffic):
            mark = f"cache {phase.way} {step.round}"
            messages = self._asking(mark, ask.question)
            await self._send(step, phase, place, messages, ask.label, ask.question)

    async def _keep_alive(self, step: Step, phase: Phase) -> None:
        settings, name = self.recorded.settings, normal_model(self.recorded.settings.model)
        found = KeepAlive(paused_s=settings.pause_s)
        for place in range(phase.requests):
            words = self.ruler.words(phase.prompt_tokens)
            messages = self._prompt(f"keep-alive {place}", words, phase.way)
            sent = await self._send(step, phase, place, messages, "warm")
            if place == 0:
                expires = moment((await self.around.loaded(name) or {}).get("expires_at"))
                told = self.around.told_at
                stays = None if expires is None or told is None else round(expires - told, 3)
                await asyncio.sleep(settings.pause_s)
                loaded = await self.around.loaded(name) is not None
                found = msgspec.structs.replace(found, stays_s=stays, loaded=loaded)
            else:
                found = msgspec.structs.replace(found, load_s=sent.load)
            self.recorded.keep_alive = found

    async def _send(
        self,
        step: Step,
        phase: Phase,
        place: int,
        messages: Messages,
        label: str,
        question: str = "",
    ) -> Sent:
        at = round(self._now(), 6)
        blank = Sent(step.phase, step.round, place, at, label=label)
        way: Way | None = self.around if phase.way == "around" else self.through
        assert way is not None  # noqa: S101 - steps without their way were left out
        body = self._body(messages, phase.output_tokens, sentence=phase.kind == "cache")
        sent = await way.send(body, blank, question)
        self.recorded.sent.append(sent)
        if sent.read and phase.kind in ("load", "cold"):
            asked = prompt_length(phase, place)
            if sent.read < _CUT * min(asked, self.ruler.tokens(self.ruler.words(asked))):
                self._note(f"the server reads {sent.read:,} tokens of prompts of {asked:,}: the "
                           "context of a slot is too small for them")  # fmt: skip
        return sent

    def _prompt(self, mark: str, words: int, way: values.Way) -> Messages:
        """Return a prompt; both ways have the same words, and find nothing of each other."""
        recorded = self.recorded
        run = recorded.run if way == "around" else f"{recorded.run}{THROUGH}"
        return prompts.cold(recorded.settings.seed, mark, words, run)

    def _asking(self, mark: str, question: str) -> Messages:
        recorded = self.recorded
        return prompts.with_documents(mark, question, recorded.run, recorded.settings.documents)

    def _body(
        self, messages: Messages, tokens: int, *, sentence: bool = False
    ) -> Mapping[str, Any]:
        settings = self.recorded.settings
        options: dict[str, Any] = {"num_predict": tokens, "temperature": 0, "seed": settings.seed}
        if sentence:  # an answer that was cut is not stored: these end by themselves
            options |= {"stop": _ENDS, "num_predict": _LONGER * tokens}
        return {"model": settings.model, "messages": messages, "options": options}

    async def _look(self, when: str, phase: str = "") -> None:
        if self.memory is not None:
            self.recorded.samples.append(await self.memory.look(self._now(), when, phase))

    @contextlib.asynccontextmanager
    async def _watched(self, phase: Phase) -> AsyncIterator[None]:
        """Look at the memory while a stress phase runs."""
        if not phase.mixed or self.memory is None:
            yield
            return

        async def look() -> None:
            while True:
                await self._look("load", phase.name)
                await asyncio.sleep(_LOOK_S)

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking

    def _note(self, text: str) -> None:
        if text not in self.recorded.notes:
            self.recorded.notes.append(text)
