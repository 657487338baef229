"""Words that may stand for each other in a question without changing its answer."""

from __future__ import annotations

from typing import Final

_GROUPS: Final = """
big large
small little
buy purchase
start begin commence
finish complete
stop quit
delete remove erase
fix repair
make create build
change modify alter
choose select pick
show display
use utilize utilise employ
happen occur
help assist aid
reply respond answer
earn gain
find locate
obtain acquire
keep retain
permit allow
need require
shut close
speak talk
repeat redo
reduce decrease
fast quick rapid
smart intelligent clever
rich wealthy
hard difficult tough
easy simple
cheap inexpensive
ill sick
famous renowned
important significant crucial
main primary principal
entire whole
movie film
car automobile auto
photo picture photograph pic
phone telephone
television tv tvs
doctor physician
kid child
illness disease sickness
country nation
company firm
job occupation
salary wage
error mistake
kind type
method technique
cost price
shop store
home house
aim goal
benefit advantage
drawback disadvantage
effect impact consequence
lawyer attorney
dad father
mom mum mother
bike bicycle
plane airplane aeroplane
fridge refrigerator
ad ads advert advertisement
app application
info information
site website
math maths mathematics
exam examination
lab laboratory
uni university
vacation holiday
apartment flat
gasoline petrol
improve enhance
avoid prevent
calculate compute
think believe
opinion view
smartphone mobile cellphone
cope deal
best greatest
usa us
uk britain
nyc
ussr
biggest largest
bigger larger
faster quicker
fastest quickest
tire tyre
ship shipping deliver delivery
ww2 wwii
ww1 wwi
js javascript
postgres postgresql
k8s kubernetes
"""

_IRREGULAR: Final = """
buy bought
begin began begun
make made
choose chose chosen
show shown showed
find found
understand understood
keep kept
speak spoke spoken
child children
man men
woman women
person people persons
foot feet
tooth teeth
mouse mice
wife wives
life lives
go went gone going
write wrote written writing
win won
lose lost losing loss
build built
send sent
sell sold
take took taken taking
give gave given giving
come came coming
become became becoming
run ran running
know knew known
think thought
say said
see saw seen
eat ate eaten
drink drank drunk
drive drove driven
fall fell fallen
fly flew flown
grow grew grown growth
hold held
lead led
leave left
meet met
pay paid payment
rise rose risen
sing sang sung
sink sank sunk
sleep slept
spend spent
steal stole stolen
teach taught
tell told
wear wore worn
catch caught
bring brought
break broke broken
feel felt
fight fought
forget forgot forgotten
hear heard
mean meant meaning means
ride rode ridden
draw drew drawn
blow blew blown
throw threw thrown
shoot shot
hide hid hidden
invent invention
discover discovery
die died dying death dead
marry marriage
differ different difference differences distinguish
install installation
remove removal
arrive arrival
depart departure
compare comparison
calculate calculation
convert conversion
translate translation
measure measurement
found founded establish established
develop development
treat treatment
"""

AGENTS: Final = {
    "writer": "write",
    "author": "write",
    "inventor": "invent",
    "discoverer": "discover",
    "founder": "found",
    "director": "direct",
    "owner": "own",
    "composer": "compose",
    "developer": "develop",
    "creator": "make",
    "winner": "win",
    "painter": "paint",
}
"""The verb that names what a person did; read so only where the question asks who it was."""

PARTICIPLES: Final = frozenset(
    form
    for line in _IRREGULAR.strip().splitlines()
    for form in line.split()[1:]
    if not form.endswith(("ing", "ion", "ment", "al", "son", "ence", "ences"))
)
"""Irregular forms that may make a passive; a noun among them does no harm."""

_SHORTEST: Final = 3
_VOWELS: Final = frozenset("aeiou")

CANONICAL: Final[dict[str, str]] = {}
"""Every listed word and its regular inflections, to the word that stands for its group."""


def _inflected(word: str) -> list[str]:
    """Return the regular forms of a word, right or wrong for its part of speech."""
    if len(word) < _SHORTEST:
        return [word]
    if word.endswith("e"):
        return [word, word + "s", word + "d", word[:-1] + "ing"]
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return [word, word[:-1] + "ies", word[:-1] + "ied", word + "ing"]
    if word.endswith(("s", "x", "ch", "sh")):
        return [word, word + "es", word + "ed", word + "ing"]
    closed = word[-1] not in "wxyaiou" and word[-2] in _VOWELS and word[-3] not in _VOWELS
    stem = word + word[-1] if closed and sum(char in _VOWELS for char in word) == 1 else word
    return [word, word + "s", stem + "ed", stem + "ing"]


def _fill() -> None:
    heads = {}
    for line in _GROUPS.strip().splitlines():
        head, *others = line.split()
        heads.update(dict.fromkeys(others, head))
    for line in _IRREGULAR.strip().splitlines():
        head, *forms = line.split()
        for form in (*_inflected(head), *forms):
            CANONICAL.setdefault(form, heads.get(head, head))
    for word, head in (*heads.items(), *((head, head) for head in heads.values())):
        for form in _inflected(word):
            CANONICAL[form] = CANONICAL.get(head, head)


_fill()
