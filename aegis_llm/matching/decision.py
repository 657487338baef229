"""What a comparison of two questions ends with."""

from __future__ import annotations

import msgspec

from aegis_llm.values import Candidate


class Decision(msgspec.Struct, frozen=True):
    """Whether the answer to one question may be served for another, and why.

    `reason` is "" on acceptance, else the first veto, "below_threshold" or "below_score". `score`
    is P(same) from 0 to 1, None where no calibrated score was made; `threshold` is what the score
    (or, without one, the similarity) had to reach, None where nothing could help. `grey`: no
    veto, and a score so near the threshold that a judge is worth asking. `certain`: a farther
    question that is surer would not make the answer any safer.
    """

    accept: bool
    reason: str = ""
    score: float | None = None
    vetoes: tuple[str, ...] = ()
    threshold: float | None = None
    grey: bool = False
    certain: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """The accepted candidate, or none and the reason why the nearest one was refused.

    `reason` is "" on acceptance, else "no_candidate", "no_question_text" or the reason of the
    nearest candidate's `decision`. `grey` is the best candidate that a judge is worth asking
    about, where none was accepted.
    """

    candidate: Candidate | None
    reason: str
    decision: Decision | None = None
    grey: Candidate | None = None
