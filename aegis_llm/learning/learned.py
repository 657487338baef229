"""What a decision by meaning asks of the past. Pure."""

from __future__ import annotations

from aegis_llm.config import CacheConfig
from aegis_llm.keys import normal_model
from aegis_llm.learning.ledger import Ledger
from aegis_llm.learning.pairs import Finding, PairMemory, PairVerdict, approval_id, pair_id

_PROMISES = {"strict": 0.02, "balanced": 0.08}


class Learned:
    """Pairs and labels of one namespace.

    Reading needs no lock; whoever writes holds one.
    """

    def __init__(self, config: CacheConfig | None = None) -> None:
        config = config or CacheConfig()
        self.pairs = PairMemory()
        self._judge = normal_model(config.judge_model or "")
        promised = config.max_wrong_hits
        self.ledger = Ledger(_PROMISES[config.matching] if promised is None else promised)

    def verdict(self, asked: str, cached: str, scope: str) -> PairVerdict | None:
        """Return what is known of two questions in a scope: refused anywhere, or approved there.

        What another judge approved is not known.
        """
        return self.pairs.get(asked, cached, scope, self._judge)

    def name_of(self, asked: str, cached: str, scope: str, finding: Finding) -> str:
        """Return the name under which a finding about two questions is kept."""
        if finding == "approved":
            return approval_id(asked, cached, scope, self._judge)
        return pair_id(asked, cached)

    def distrusts(self, entry_id: str) -> bool:
        """Return whether an entry was wrong so often that it answers its own question only."""
        return entry_id in self.ledger.distrusted

    @property
    def drift(self) -> bool:
        """Whether more hits are wrong than was promised."""
        return self.ledger.drift
