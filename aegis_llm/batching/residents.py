"""Which models a server has loaded, and which one's turn it is where they do not fit together.

Nothing is asked of the server: a reply says how long its load took. A model that has to be loaded
again although it answered a moment ago made room for another one, so they do not fit together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

_LEAST_LOAD_S = 0.2
_MOMENT_S = 240.0  # less than a server keeps a model that nobody asks
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
        self._settled: set[str] = set()  # those that answered since the last load of another one

    @property
    def room(self) -> int | None:
        """How many models fit; None: as many as there are, as far as is known."""
        return self._learned if self.given is None else self.given

    def has(self, model: str) -> bool:
        """Return whether the model is loaded, as far as is known."""
        return model in self._loaded

    def may_starve(self, model: str) -> bool:
        """Return whether a request for the model may wait on the server until others make way.

        The server answers who asks for a loaded model first, as long as such requests come.
        """
        return self.room is None and model not in self._settled

    def displaces(self, model: str) -> bool:
        """Return whether another model would be unloaded for this one, as far as is known."""
        room = self.room
        return room is not None and model not in self._loaded and len(self._loaded) >= room

    def claim(self, model: str) -> None:
        """Have the model loaded at the end of the turn: a request for it waited long enough."""
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
            if any(one not in self._loaded for one in flying):
                return False  # that one is being loaded in the place of this one, maybe
            return not self._yields(waiting)
        if room is None:
            # Not all at once: the first one shows whether the models fit together.
            return not others or model not in flying
        if self._claim(waiting) not in (None, model):
            return False
        if len(self._loaded) < room:
            return True
        return any(
            one not in flying and (one not in waiting or self._yields(waiting))
            for one in self._loaded
        )

    def sent(self, model: str, flying: Mapping[str, int], waiting: Mapping[str, int]) -> None:
        """Note that a request was sent; `flying` and `waiting` are as they were before."""
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

    def replied(self, model: str, load_s: float, sent: float, now: float) -> bool:
        """Learn from a reply to what was `sent`; return whether the model was loaded for it."""
        quickest = self._quickest[model] = min(load_s, self._quickest.get(model, load_s))
        usual = 4 * quickest if quickest < _LEAST_LOAD_S else 0.0
        loaded = load_s > max(_LEAST_LOAD_S, usual)
        if loaded:
            self._settled.clear()
        self._settled.add(model)
        last = self._loaded.get(model)
        if loaded and last and last <= sent < last + _MOMENT_S:
            between = [one for one, at in self._loaded.items() if one != model and at >= last]
            if between:
                self._learned = max(1, len(self._loaded) - 1)
        elif not loaded and not last and self._learned is not None:
            self._learned = None  # it was there all the time: they fit together after all
        if last is None:
            self._served = 0  # its turn begins
        self._loaded[model] = now
        self._loaded.move_to_end(model)
        room = self.room
        while room is not None and len(self._loaded) > room:
            self._loaded.popitem(last=False)
        return loaded

    def answered(self, model: str) -> None:
        """Note that a model has answered, though not how long its load took."""
        self._settled.add(model)
        if self.room is None:
            self._loaded.setdefault(model, 0.0)

    def drop(self, model: str) -> None:
        """Forget what is known of one model."""
        self._loaded.pop(model, None)
        self._quickest.pop(model, None)
        self._settled.discard(model)

    def forget(self) -> None:
        """Note that the server went away: nothing is loaded."""
        self._loaded.clear()

    def _yields(self, waiting: Mapping[str, int]) -> bool:
        """Return whether those that are loaded have to make way for one that waits for it."""
        return self._served >= TURN and any(one not in self._loaded for one in waiting)

    def _claim(self, waiting: Mapping[str, int]) -> str | None:
        """Return the model that is to be loaded next, while requests wait for it to be."""
        claimed = self._claimed
        return claimed if claimed in waiting and claimed not in self._loaded else None
