"""Turns of phrase that are rewritten before two questions are compared."""

from __future__ import annotations

from typing import Final

from aegis_llm.gates.text import STOP, WORD, Token

_REWRITES: Final = """
is there a way to = can i
is there any way to = can i
is it possible to = can i
what is the best way to = how to
what is the way to = how to
what are the best ways to = how to
what are the ways to = how to
what are some ways to = how to
what are some good ways to = how to
what are good ways to = how to
what is a good way to = how to
what is the right way to = how to
what is the best approach to = how to
is there any way for me to = can i
is there a way for me to = can i
what is the best method to = how to
what are the steps to = how to
what steps do i take to = how to
what is the reason for = why
what is the reason why = why
what is the reason that = why
what is the reason behind = why
what is the reason = why
for what reason = why
how come = why
whats = what is
wheres = where is
whos = who is
hows = how is
how many = howmany number
how much = howmuch
what number of = howmany number
what is the number of = howmany number
how tall = what height
how high = what height
how old = what age
how far = what distance
how fast = what speed
how big = what size
how large = what size
how deep = what depth
how wide = what width
how heavy = what weight
how long is = what length
how long are = what length
how long = howlong
how often = howoften
what year = when
which year = when
in what year = when
in which year = when
what time = whattime
at what time = whattime
who all = who
can you tell me =
could you tell me =
can you please tell me =
could you please tell me =
would you tell me =
can anyone tell me =
please tell me =
tell me =
do you know =
does anyone know =
does anybody know =
i want to know =
i need to know =
i would like to know =
can you explain =
can you explain to me =
could you explain =
could you explain to me =
can you please explain =
could you please explain =
please explain =
explain to me =
explain =
can someone explain =
can somebody explain =
could someone explain =
can you describe =
describe =
define = what is
what is meant by = what mean of
what is the meaning of = what mean of
what is the definition of = what mean of
used to be = habitually
use to be = habitually
what is the process for = how
what is the process of = how
what is the procedure for = how
what are the steps for = how
what do i have to do to = how to
have yet to = not
has yet to = not
every other = alternate
every second = alternate
a few = some
a little = some
frequently = often
how frequently = howoften
per day = daily
per week = weekly
per month = monthly
a lot of = many
a lot = many
lots of = many
at least = atleast
at most = atmost
instead of = instead
rather than = instead
other than = except
apart from = except
aside from = except
as well as = and
because of = because
due to = because
or not =
why or why not = why
do you think =
in your opinion =
in fact =
what should i do to = how to
what can i do to = how to
what do i do to = how to
what do i need to do to = how to
in order to = to
according to = by
going to be = will
log in = login
log into = login
logging in = login
logging into = login
sign in = login
sign into = login
signing in = login
log on = login
log out = logout
log off = logout
sign out = logout
sign off = logout
sign up = signup
back up = backup
backing up = backup
have to = must
has to = must
need to = must
needs to = must
set up = setup
setting up = setup
turn on = enable
switch on = enable
turn off = disable
switch off = disable
turning on = enable
turning off = disable
get rid of = remove
find out = find
take place = happen
took place = happen
united states of america = usa
united states = usa
united kingdom = uk
great britain = uk
new york city = nyc
world war i = ww1
world war 1 = ww1
world war one = ww1
world war ii = ww2
world war 2 = ww2
world war two = ww2
"""

_Rewriting = tuple[tuple[str, ...], tuple[Token, ...]]

_BEFORE_COMMANDS: Final = frozenset({"please", "kindly"})
_HEADS: Final[set[str]] = set()
_PHRASES: Final[dict[tuple[str, str], list[_Rewriting]]] = {}
"""First two words of a phrase, to its other words and its rewriting; the longest comes first."""


def _fill() -> None:
    for line in _REWRITES.strip().splitlines():
        phrase, _, rewriting = line.partition("=")
        first, second, *rest = (*phrase.split(), "")
        plain = tuple((word, WORD, "") for word in rewriting.split())
        _HEADS.add(first)
        _PHRASES.setdefault((first, second), []).append((tuple(filter(None, rest)), plain))
    for options in _PHRASES.values():
        options.sort(key=lambda option: -len(option[0]))


_fill()


def plainer(tokens: list[Token]) -> list[Token]:
    """Replace the turns of phrase that have a plainer form."""
    if _HEADS.isdisjoint([token[0] for token in tokens]):
        return tokens
    found: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        length = 0
        if token[0] in _HEADS:
            length, plain = _rewriting(tokens, index)
            found.extend(plain)
        if not length:
            found.append(token)
        index += length or 1
    return found


def _rewriting(tokens: list[Token], index: int) -> tuple[int, tuple[Token, ...]]:
    """Return how many tokens from here make a known phrase, and what stands for them."""
    first = tokens[index][0]
    second = tokens[index + 1][0] if index + 1 < len(tokens) else ""
    for rest, plain in _PHRASES.get((first, second), ()):
        end = index + 2 + len(rest)
        if tuple(token[0] for token in tokens[index + 2 : end]) == rest:
            return end - index, plain
    if index == 0 or tokens[index - 1][1] == STOP or tokens[index - 1][0] in _BEFORE_COMMANDS:
        for _, plain in _PHRASES.get((first, ""), ()):
            return 1, plain
    return 0, ()
