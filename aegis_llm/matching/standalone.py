"""Tell a last turn that stands alone, so that its answer may be shared across conversations. Pure.

The question must bring its own subject, and the turns before it must be bare questions on
something else. Whatever is not sure of both needs the same history.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aegis_llm.matching.router import route
from aegis_llm.matching.wordsets import words

_LONGEST_TURN = 200
_LONGEST_HISTORY = 20_000
_MOST_TURNS = 40
_PLAIN = frozenset({"role", "content"})

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*|\d+(?:[.,:]\d+)*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_ASKS = re.compile(
    r"(?:who|whom|whose|what|which|when|where|why|how|are|were|does|did|can|could|would|should|"
    r"have|had)\b|(?:is|do|was|will|has)\b(?=.* (?:the|an?|of|you|i|to)\b)",
    re.IGNORECASE,
)
"""The beginning of an English question; some of the words begin one in other languages too."""
_LEANING = words(
    "it its itself this that these those they them their theirs he him his she her hers one "
    "ones there here else instead again more less another other others same such also too "
    "either neither both former latter above below previous previously earlier before after "
    "then afterwards thereafter next last still anymore yet now today currently rest similar "
    "similarly likewise different differently alternatively otherwise respectively mentioned "
    "said so thus therefore however though although first second third only even just already "
    "ever exactly enough your yours my mine our ours me us we "
    "myself i'm i've i'd i'll we're mean meant necessary required allowed"
)
_OPENING = re.compile(
    r"(?:and|but|or|so|then|also|because|ok|okay|well|yes|no|sure|thanks|great|what about|"
    r"how about|why not|what if|in that case|if so|which of|for|in|on|at|with|without|from|to|"
    r"by)\b",
    re.IGNORECASE,
)
_COMPARED = re.compile(
    r"\b(?:better|worse|faster|slower|cheaper|bigger|smaller|larger|longer|shorter|higher|"
    r"lower|older|younger|newer|stronger|weaker|safer|easier|harder|hotter|colder|heavier|"
    r"lighter|greater|fewer|further|sooner|later|earlier)\b"
)
_UNIQUE = (
    r"world|moon|sun|earth|sky|sea|ocean|universe|internet|human|solar|milky|united|european|"
    r"middle|north|south|western|eastern|equator|atmosphere"
)
_DEFINITE = re.compile(
    rf"\bthe (?!(?:{_UNIQUE})\b)(?P<words>[\w'-]+(?: [\w'-]+){{0,3}}?)(?= (?:of|in|between|"
    rf"behind|for|to|that|which|who|on|"
    r"with|from|when|where|whose|used)\b|\W*$| (?:is|are|was|were|do|does|did|can|will|work|"
    r"have|has|take|cost|mean)\b|[,;.?!])"
)
_COMPLEMENT = re.compile(r" (?:of|between|behind|to|that|which)\b")
_GENERIC = words(
    "ticket tickets price prices cost costs charge fee fees shipping delivery entrance entry "
    "adult adults child children student students opening open closing close hours time times "
    "battery warranty size weight color colour version versions install installation setup "
    "update updates error errors problem problems issue issues setting settings account "
    "accounts option options example examples step steps process processing application "
    "applications apply registration register requirement requirements document documents "
    "needed need needs require requires result results answer answers question questions "
    "reason reasons difference differences advantage advantages disadvantage disadvantages "
    "benefit benefits effect effects side risk risks rule rules limit limits deadline "
    "deadlines policy policies refund refunds return returns payment payments support contact "
    "address number numbers amount amounts value values rate rates average minimum maximum "
    "total part parts type types kind kinds form forms method methods way ways thing things "
    "people person someone anyone everyone place places area country countries city state name "
    "names called mean means meaning definition work works working make makes made use uses "
    "used using take takes taken get gets give gives happen happens happened change changes "
    "changed start starts started stop stops begin end ends finish long much many often "
    "usually typically normally generally roughly approximately possible best good bad main "
    "most important popular common famous major big large small high low old young new fast "
    "slow hard easy safe dangerous expensive cheap year years month months week weeks day days "
    "hour minute minutes second seconds winter summer spring autumn morning evening night "
    "weekend tell explain describe show list define compare please know find look help want "
    "like would should could might must does have been being were will can join joined leave "
    "left win won lose lost beat play played become became stay last arrive receive include "
    "included includes built done "
    "calculate calculated difficult available free full feature features option model models "
    "default"
)
_STOP = words(
    "a an the of in on at to for from with without by as and or not is are was were be been do "
    "does did how what which who whom whose when where why can could will would should may "
    "might must has have had i you "
    "into onto over under between during about than if there it its your per via vs"
)
_IDENTIFIER = re.compile(
    r"\b(?=\w*\d)(?=\w*[A-Za-z])\w{3,}\b|\b[A-Z]{2,}\b|"
    r"\b\w+[_./]\w+\b|\b[a-z]+[A-Z]\w+\b"
)
_ACRONYM = re.compile(r"\b[A-Z]{2,}\b")
_QUOTED = re.compile(
    r"[\"\u201c\u201e\u00ab`][^\"\u201d\u201c\u00bb`]{2,80}[\"\u201d\u201c\u00bb`]"
)
_SUM = re.compile(
    r"(?:what(?:'s| is)|how much is) \d[\d.,]*(?: ?%)?(?: ?[-+*/x] ?| of | times | plus |"
    r" minus | divided by )\d[\d.,]* ?\?"
)
_OF_NAME = re.compile(r"\b(?:is|are) the (?:[a-z-]+ ){1,2}of (?:the )?[A-Z][a-z]")
_MADE = re.compile(
    r"who (?:wrote|invented|discovered|founded|painted|composed|directed|created|built|"
    r"designed)\b",
    re.IGNORECASE,
)
_PAST = words("did was were had")
_MANY_THINGS = words(
    "georgia jordan java python mercury apple amazon cambridge birmingham washington victoria "
    "congo guinea macedonia phoenix saturn venus mars jaguar "
    "puma oracle swift rust go ruby spring crystal amber ford lincoln jackson madison "
    "springfield portland richmond manchester newcastle hamilton perth santiago cordoba "
    "valencia granada naples durham may march august "
    "atlas delta echo alexa meta windows word excel teams access edge safari chrome titan "
    "orion apollo eclipse flash shell mint django flask rails"
)
"""Names of several things, told apart by what was talked about."""
_NAME_PLACED = re.compile(
    r"\b(?:in|on|at|for|from|during|since|by|to|near|under|with|into) (?:the )?$"
)

_FRAMED = re.compile(r"[\d\n:`\"*#|<>{}]")
_TOLD = re.compile(
    r"\b(?:i(?:'m|'ve|'d|'ll)|my|mine|myself|we|our|ours|us|me)\b|"
    r"(?<!do )(?<!can )(?<!could )(?<!should )(?<!would )(?<!must )(?<!may )\bi\b|"
    r"\b(?:from now on|always|never|answer|answers|respond|reply|act as|pretend|assum\w+|"
    r"suppose\w*|imagine|remember|forget|ignore|format|json|bullet|bullets|markdown|language|"
    r"translate|speak|call me|consider|given|let's|please|if|you|in (?:english|german|french|"
    r"spanish|italian|dutch|chinese|japanese)|words?|sentences?|briefly|short|detail|detailed|"
    r"simple|formal|style|tone|role|you are|you're|your)\b",
    re.IGNORECASE,
)


def standalone(question: str, history: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the question means the same without the turns before it.

    `history` are the messages before the last one in Ollama's shape; system messages are passed
    over, since they stay in the scope. In doubt the answer is False.
    """
    turns = [message for message in history if message.get("role") != "system"]
    if not turns:
        return True
    if len(turns) > _MOST_TURNS or not _in_turns(turns):
        return False
    asked = [str(turn["content"]) for turn in turns if turn["role"] == "user"]
    if not all(_bare_question(text) for text in asked):
        return False
    if str(turns[-1]["content"]).rstrip().endswith(("?", "\uff1f", ":")):
        return False  # the assistant asked back
    question = question.replace("\u2019", "'").strip()
    if not question.isascii() or not _own_subject(question):
        return False
    spoken = {_stem(word) for turn in turns for word in _content(str(turn["content"]))}
    return spoken.isdisjoint(map(_stem, _content(question))) and route(question).kind == "reuse"


def _in_turns(turns: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether plain texts of user and assistant take turns, and the user is next."""
    if len(turns) % 2:
        return False
    size = 0
    for place, turn in enumerate(turns):
        content = turn.get("content")
        if turn.get("role") != ("assistant" if place % 2 else "user"):
            return False
        if not isinstance(content, str) or not content or "```" in content:
            return False
        if any(value for name, value in turn.items() if name not in _PLAIN):
            return False
        size += len(content)
    return size <= _LONGEST_HISTORY


def _bare_question(text: str) -> bool:
    """Return whether a turn asks, and neither tells, orders nor sets a frame."""
    text = text.replace("\u2019", "'").strip()
    if len(text) > _LONGEST_TURN or not text.isascii() or _FRAMED.search(text):
        return False
    if _TOLD.search(text) or _names(text)[1]:
        return False
    return all(one.endswith("?") and _ASKS.match(one) for one in _SENTENCE.split(text))


def _own_subject(question: str) -> bool:
    if len(question) > _LONGEST_TURN or "\n" in question or len(_SENTENCE.split(question)) > 1:
        return False
    lowered = question.lower()
    said = _WORD.findall(lowered)
    if not _LEANING.isdisjoint(said) or _OPENING.match(question) or _COMPARED.search(lowered):
        return False
    if _SUM.fullmatch(lowered):
        return True
    definites = list(_DEFINITE.finditer(question))
    if not _ASKS.match(question) or any(map(_leans, definites)):
        return False
    return _enough(question, highest=any(_highest(one["words"].split()) for one in definites))


def _enough(question: str, *, highest: bool) -> bool:
    """Return whether names and telling words are enough to say what is meant."""
    names, placed = _names(question)
    telling = [word for word in _content(question) if word not in names]
    telling = [word for word in telling if word not in _GENERIC and len(word) > 3]
    past = not _PAST.isdisjoint(_WORD.findall(question.lower()))
    if _QUOTED.search(question):
        return len(telling) > 1 and not past
    if not _MANY_THINGS.isdisjoint(names):
        return False
    if _MADE.match(question):
        return bool(names)
    if names and past:
        return False  # it may be about an event that was talked about
    proper = names - {word.lower() for word in _ACRONYM.findall(question)}
    if proper - placed:
        return len(telling) >= (1 if _OF_NAME.search(question) else 2)
    # Without a name of its own, a question may be about what was talked about.
    return bool(proper) and len(telling) >= (2 if highest else 3)


def _leans(definite: re.Match[str]) -> bool:
    """Return whether "the X" says not itself which X it is."""
    said = definite["words"].split()
    if any(word[:1].isupper() for word in said):
        return False
    if _highest(said):
        return len(said) < 2
    return _COMPLEMENT.match(definite.string, definite.end()) is None


def _highest(said: Sequence[str]) -> bool:
    return said[0] == "most" or any(word.endswith("est") for word in said)


def _names(question: str) -> tuple[set[str], set[str]]:
    """Return the words that name something, and those of them that only say where or when."""
    names: set[str] = set()
    placed: set[str] = set()
    for found in _WORD.finditer(question):
        word = found[0]
        if found.start() == 0 or word == "I" or not word[:1].isupper():
            continue
        names.add(word.lower())
        before = question[: found.start()]
        previous = before.rstrip().rpartition(" ")[2].lower()
        if _NAME_PLACED.search(before) or previous in placed:
            placed.add(word.lower())
    for found in _IDENTIFIER.finditer(question):
        names.update(_WORD.findall(found[0].lower()))
    return names, placed


def _content(text: str) -> list[str]:
    said = _WORD.findall(text.lower())
    return [word for word in said if word not in _STOP and (len(word) > 2 or word.isdigit())]


def _stem(word: str) -> str:
    return word[:4]
