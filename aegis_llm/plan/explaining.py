"""Finding out what would become of a request, without doing it.

The plan of a real request is rehearsed: what it reads is read, what it would change is answered
as if it were done. So an explanation cannot say anything else than what `open_plan` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from aegis_llm import codec
from aegis_llm.errors import Trouble
from aegis_llm.explanation import Explanation, Weighed
from aegis_llm.keys import tenant_tag
from aegis_llm.matching import Decision
from aegis_llm.plan.asking import asked, question_of, scoped
from aegis_llm.plan.deciding import known_of
from aegis_llm.plan.effects import (
    CONTEXT_DIFFERS,
    Digest,
    Drop,
    DropLocal,
    Embed,
    GetExact,
    GetLocal,
    Join,
    Judge,
    KeepLocal,
    Nearest,
    Opened,
    Plan,
    Put,
    Recall,
    Rules,
    Seat,
    Settle,
    Survey,
)
from aegis_llm.plan.ends import usable
from aegis_llm.plan.opening import open_plan
from aegis_llm.plan.semantic import context_of, near_of
from aegis_llm.questions import NoQuestion, Split
from aegis_llm.values import Candidate, Control, Entry, Request

T = TypeVar("T")
READ: tuple[type, ...] = (Digest, GetLocal, GetExact, Embed, Nearest, Recall, Survey)
"""Effects that are performed, in a form that changes nothing."""
UNDONE: Mapping[type, Any] = {
    KeepLocal: None,
    DropLocal: None,
    Drop: None,
    Join: Seat(),
    Settle: None,
    Put: None,
}
"""Effects that are not performed, with the replies that stand for them."""
REFUSED: Mapping[type, str] = {Judge: "judge_would_decide"}
"""Effects that nothing can stand for, with the reason of the miss they would decide about."""
_NOTHING: Mapping[type, Any] = {}


def explain_plan(
    request: Request,
    control: Control,
    rules: Rules,
    elsewhere: int = 0,
    *,
    all_tenants: bool = False,
) -> Plan[Explanation]:
    """Tell what `open_plan` would end with, and every step that leads there.

    Where the scope has no entry, the `elsewhere` nearest entries of other scopes are shown, of the
    same tenant unless `all_tenants`.
    """
    allowed = msgspec.structs.replace(control, only_if_cached=False)
    rehearsal = _Rehearsal()
    opened = yield from rehearsal.run(open_plan(request, allowed, rules))
    found = asked(request, rules)
    split = question_of(request, found, rules)
    if found.route.kind != "reuse" and isinstance(found.split, Split):
        split = found.split
    question = split.question if isinstance(split, Split) else None
    told = Explanation(
        outcome=opened.origin.outcome,
        reason=opened.origin.reason,
        namespace=rules.cache.namespace,
        model=request.model,
        entry_id=opened.origin.entry_id,
        age_s=opened.origin.age_s,
        question=question,
        no_question=split.reason if isinstance(split, NoQuestion) else "",
        route="" if question is None else found.route.kind,
        route_reason=found.route.reason,
        not_cached_error=control.only_if_cached and _is_sure_miss(opened),
    )
    if opened.origin.outcome == "bypass":
        return told
    changes = yield from _steps(opened, rehearsal, request, allowed, rules)
    if elsewhere > 0 and question is not None and not changes["candidates"]:
        changes["elsewhere"] = yield from _elsewhere(
            rehearsal, request, control, rules, question, elsewhere, all_tenants=all_tenants
        )
    changes["in_the_way"] = tuple(dict.fromkeys([*rehearsal.troubles, *_lacks(rules)]))
    return msgspec.structs.replace(told, **changes)


def _is_sure_miss(opened: Opened) -> bool:
    return opened.entry is None and opened.origin.reason not in REFUSED.values()


def _lacks(rules: Rules) -> list[str]:
    """Return what is missing for matching as well as could be."""
    if not rules.semantic:
        return ["no_embeddings"]
    return [] if rules.matcher.scores or rules.cache.similarity is not None else ["no_score"]


def _steps(
    opened: Opened, rehearsal: _Rehearsal, request: Request, control: Control, rules: Rules
) -> Plan[dict[str, Any]]:
    """Look at each tier as if the ones before it had nothing."""
    plain = msgspec.structs.replace(control, refresh=False)
    local = opened
    if control.refresh:
        local = yield from rehearsal.run(open_plan(request, plain, rules))
    exact = local
    if local.origin.outcome == "hit_local":
        exact = yield from rehearsal.run(open_plan(request, plain, rules), {GetLocal: None})
    meaning = exact
    if exact.origin.outcome == "hit_exact" and exact.entry is not None:
        rehearsal.hidden = exact.entry.key
        absent: dict[type, Any] = {GetLocal: None, GetExact: None}
        meaning = yield from rehearsal.run(open_plan(request, plain, rules), absent)
    keys = [effect.key for effect in rehearsal.effects(GetLocal)]
    served = meaning.entry if meaning.origin.outcome == "hit_semantic" else None
    split = question_of(request, asked(request, rules), rules)
    cut = isinstance(split, Split) and _is_cut(request, split, rules)
    candidates = [
        _weighed(candidate, rehearsal.question, served, rules, comparable=comparable)
        for scope, found in rehearsal.searches
        for candidate, comparable in near_of(request, scope, found, rules, cut=cut)
    ]
    return {
        "digest": rehearsal.digest,
        "key": keys[0] if keys else "",
        "local": local.origin.outcome == "hit_local",
        "exact": exact.origin.outcome == "hit_exact",
        "scope": rehearsal.searches[-1][0] if rehearsal.searches else "",
        "candidates": tuple(candidates),
        "by_meaning": meaning.origin.outcome if rules.semantic else None,
        "by_meaning_reason": meaning.origin.reason if rules.semantic else "",
    }


def _is_cut(request: Request, split: Split, rules: Rules) -> bool:
    return context_of(*scoped(request, split, rules), rules) is not None


def _elsewhere(
    rehearsal: _Rehearsal,
    request: Request,
    control: Control,
    rules: Rules,
    question: str,
    count: int,
    *,
    all_tenants: bool,
) -> Plan[tuple[Weighed, ...]]:
    """Find the nearest entries of other scopes, and what else they differ in."""
    vectors = rehearsal.replies(Embed)
    if not vectors:
        return ()
    own = yield from rehearsal.survey(Survey(vectors[0], count, tenant=tenant_tag(control)))
    found = own
    if all_tenants:
        found = yield from rehearsal.survey(Survey(vectors[0], count))
    own_ids = {entry.key for data, _ in own if (entry := codec.decode(data)) is not None}
    seen = []
    for data, similarity in found:
        entry = usable(data, None, rules)
        if entry is None:
            continue
        if entry.key not in own_ids:
            why = "of another tenant or user"
        else:
            why = _difference(entry, request, rehearsal.digest)
        one = _weighed(Candidate(entry, similarity, entry.question), question, None, rules)
        seen.append(msgspec.structs.replace(one, elsewhere=why))
    return tuple(seen)


def _difference(entry: Entry, request: Request, digest: str) -> str:
    if entry.model != request.model:
        return f"of another model, {entry.model}"
    if entry.digest != digest:
        return "of another version of the model"
    return "with another context, system text, history or options"


def _weighed(
    candidate: Candidate,
    question: str,
    served: Entry | None,
    rules: Rules,
    *,
    comparable: bool = True,
) -> Weighed:
    entry = candidate.entry
    if candidate.question is None:
        decision = Decision(False, "no_question_text")
    else:
        decision = rules.matcher.decide(question, candidate.question, candidate.similarity)
    verdict, why_not = known_of(question, candidate, rules)
    why_not = why_not if comparable else CONTEXT_DIFFERS
    accept = not why_not and (decision.accept or (decision.grey and verdict == "same"))
    return Weighed(
        question=candidate.question,
        similarity=candidate.similarity,
        accept=accept,
        reason="" if accept else why_not or decision.reason,
        vetoes=decision.vetoes,
        score=decision.score,
        threshold=decision.threshold,
        grey=decision.grey,
        known=verdict or "",
        age_s=max(0, rules.now_ms() - entry.created_ms) / 1000,
        entry_id=entry.key,
        model=entry.model,
        documents=entry.documents,
        tags=entry.tags,
        served=served is not None and served.key == entry.key,
    )


class _Rehearsal:
    """Runs plans without doing what they would do; whatever is read is read once."""

    def __init__(self) -> None:
        self._heard: list[tuple[Any, Any]] = []
        self.searches: list[tuple[str, list[tuple[bytes, float]]]] = []
        self.hidden = ""
        self.troubles: list[str] = []

    @property
    def question(self) -> str:
        """The question that was embedded."""
        return next((effect.question for effect in self.effects(Embed)), "")

    @property
    def digest(self) -> str:
        """The digest of the model, or of all that a named chain uses; empty without."""
        return ",".join(filter(None, self.replies(Digest)))

    def effects(self, kind: type[T]) -> list[T]:
        """Return the effects of one kind that were answered."""
        return [e for e, r in self._heard if type(e) is kind and not isinstance(r, Exception)]

    def replies(self, kind: type) -> list[Any]:
        """Return the replies to the effects of one kind."""
        return [r for e, r in self._heard if type(e) is kind and not isinstance(r, Exception)]

    def run(self, plan: Plan[T], given: Mapping[type, Any] = _NOTHING) -> Plan[T]:
        """Run a plan to its end, with some replies given."""
        try:
            effect = next(plan)
            while True:
                try:
                    reply = given.get(type(effect))
                    if type(effect) not in given:
                        reply = yield from self._reply(effect)
                except Trouble as trouble:
                    effect = plan.throw(trouble)
                else:
                    effect = plan.send(reply)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def survey(self, survey: Survey) -> Plan[list[tuple[bytes, float]]]:
        """Ask beyond the plan; trouble is noted."""
        try:
            found: list[tuple[bytes, float]] = yield from self._read(survey)
        except Trouble:
            return []
        return found

    def _reply(self, effect: Any) -> Plan[Any]:
        if type(effect) in UNDONE:
            return UNDONE[type(effect)]
        if type(effect) in REFUSED:
            raise Trouble(REFUSED[type(effect)])
        if type(effect) not in READ:
            self.troubles.append("not_rehearsed")
            raise Trouble("not_rehearsed")
        if isinstance(effect, Digest):
            effect = Digest(effect.request, keep=False)
        if not isinstance(effect, Nearest):
            return (yield from self._read(effect))
        wanted = effect.count + bool(self.hidden)
        try:
            found = yield from self._read(Survey(effect.vector, wanted, scope=effect.scope))
        except Trouble as trouble:
            if trouble.reason != "index_missing":
                raise
            found = []  # a request would make the index, and find nothing in it
        kept = [one for one in found if not self._hides(one[0])][: effect.count]
        self.searches.append((effect.scope, kept))
        return kept

    def _hides(self, data: bytes) -> bool:
        entry = codec.decode(data) if self.hidden else None
        return entry is not None and entry.key == self.hidden

    def _read(self, effect: Any) -> Plan[Any]:
        for known, reply in self._heard:
            if known == effect:
                if isinstance(reply, Exception):
                    raise reply
                return reply
        try:
            reply = yield effect
        except Trouble as trouble:
            self._heard.append((effect, trouble))
            self.troubles.append(trouble.reason)
            raise
        self._heard.append((effect, reply))
        return reply
