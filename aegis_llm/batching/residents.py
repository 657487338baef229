"""Which models a server has loaded, and which one's turn it is where they do not fit together.

Nothing is asked of the server: a reply says how long its load took. A model that has to be loaded
again although it answered a moment ago made room for another one, so they do not fit together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

_LEAST_LOAD_S = 0.2
_MOMENT_S = 60.0
TURN = 64
"""Requests of a model that are sent while another one waits to be loaded."""


class Residents:
    """The models of one server. `given` is how many fit; None: learned."""

    def __init__(self, given: int | None = None) -> None:
        self.given = given
        self._learned: int | None = None
        self._loaded: OrderedDict[str, float] = OrderedDict()  # and when each answered last
        self._quickest: dict[str, float] = {}
        self._served = 0
        self._claimed: str | None = None

    @property
    def room(self) -> int | None:
        """How many models fit; None: as many as there are, as far as is known."""
        return self._learned if self.given is None else self.given

    def has(self, model: str) -> bool:
        """Return whether the model is loaded, as far as is known."""
        return model in self._loaded

    def claim(self, model: str) -> None:
        """Have the model loaded next: a request for it has waited long enough."""
        if model not in self._loaded:
            self._claimed = model

    def may_send(self, model: str, flying: Mapping[str, int], waiting: Mapping[str, int]) -> bool:
        """Return whether a request for the model may be sent now.

        `flying` and `waiting` count the requests of each model; models with none are left out.
        """
        others = [one for one in flying if one != model]
        room = self.room
        if model in self._loaded:
            if room is None or len(self._loaded) < room:
                return True
            return not self._yields(model, waiting)
        if room is None:
            # Not all at once: the first one shows whether the models fit together.
            return not others or model not in flying
        if self._claim(waiting) not in (None, model):
            return False
        if len(self._loaded) < room:
            return True
        return any(
            one not in flying and (one not in waiting or self._yields(one, waiting))
            for one in self._loaded
        )

    def sent(self, model: str, flying: Mapping[str, int], waiting: Mapping[str, int]) -> None:
        """Note that a request was sent; the arguments are those of `may_send`."""
        if self._claimed == model:
            self._claimed = None
        if model in self._loaded:
            if any(one not in self._loaded for one in waiting):
                self._served += 1
            return
        room = self.room
        if room is None:
            return  # its reply shows what it is
        if len(self._loaded) >= room:
            idle = next((one for one in self._loaded if one not in flying), None)
            del self._loaded[next(iter(self._loaded)) if idle is None else idle]
        self._loaded[model] = 0.0
        self._served = 0

    def replied(self, model: str, load_s: float, now: float) -> bool:
        """Learn from a reply; return whether the model was loaded for it."""
        quickest = self._quickest[model] = min(load_s, self._quickest.get(model, load_s))
        usual = 4 * quickest if quickest < _LEAST_LOAD_S else 0.0
        loaded = load_s > max(_LEAST_LOAD_S, usual)
        last = self._loaded.get(model)
        if loaded and last and now - load_s - last < _MOMENT_S:
            between = [one for one, at in self._loaded.items() if one != model and at >= last]
            if between and self.given is None:
                self._learned = max(1, len(self._loaded) - 1)
        elif not loaded and not last and self._learned is not None:
            self._learned = None  # it was there all the time: they fit together after all
        self._loaded[model] = now
        self._loaded.move_to_end(model)
        room = self.room
        while room is not None and len(self._loaded) > room:
            self._loaded.popitem(last=False)
        return loaded

    def answered(self, model: str) -> None:
        """Note that a model has answered, though not how long its load took."""
        if self.room is None:
            self._loaded.setdefault(model, 0.0)

    def drop(self, model: str) -> None:
        """Forget what is known of one model."""
        self._loaded.pop(model, None)
        self._quickest.pop(model, None)

    def forget(self) -> None:
        """Note that the server went away: nothing is loaded."""
        self._loaded.clear()

    def _yields(self, model: str, waiting: Mapping[str, int]) -> bool:
        """Return whether a loaded model has to make way for one that waits to be loaded."""
        if not any(one not in self._loaded for one in waiting):
            return False
        return self._claim(waiting) is not None or self._served >= TURN

    def _claim(self, waiting: Mapping[str, int]) -> str | None:
        """Return the model that is to be loaded next, while requests wait for it to be."""
        claimed = self._claimed
        return claimed if claimed in waiting and claimed not in self._loaded else None
