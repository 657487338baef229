"""Tell questions about now: their answers change with the moment of asking. Pure."""

from __future__ import annotations

import re
from collections.abc import Set

from aegis_llm.matching.wordsets import words

_ALWAYS = words(
    "tonight nowadays presently currently headlines heute jetzt derzeit momentan zurzeit "
    "gestern bisher aujourd actuellement demain aktuelle aktueller aktuellen aktuelles aktuell "
    "neueste "
    "neuesten neuester neuestes trending"
)
_RECENT_THING = (
    r"(?:news|events?|developments?|changes|updates?|trends?|results|transactions?|version|"
    r"release)"
)
_NOT_CURRENT = (
    r"(?<!alternating )(?<!direct )(?<!electric )(?<!electrical )"
    r"(?<!ocean )(?<!eddy )(?<!induced )"
)
_HELD = (
    r"(?:president|prime|ceo|king|queen|chancellor|governor|mayor|minister|premier|pope|leader|"
    r"head|coach|champions?|record|holder|owner|population|price|rates?|status|state|situation|"
    r"version|time|date|day|year|weather|temperature|news|trends?|score|standings?|ranking|"
    r"season|location|balance|value|market|job|salary|law|rules|members?|captain|manager|"
    r"director|capital|exchange|stock|address|team|events|affairs|conditions?|information|"
    r"traffic|speaker|secretary|home|number|cost|line-?up|roster|senators?|government|"
    r"inflation|interest|minimum|wage|world champion|list|net worth)"
)
_PATTERNS = {
    "today": r"(?<!in the world )(?<!usa )(?<!india )(?<!psychology )(?<!known )(?<!called "
    r")\btoday\b(?! show\b)",
    "tomorrow": r"(?<!after )(?<!legends of )\btomorrow\b(?! never| belongs)",
    "yesterday": r"\byesterday\b(?! once more)",
    "now": r"\b(?:right|just|as of|until|till|up to) now\b|(?<!apocalypse )\bnow(?: a days|"
    r" adays)?\W*$|\b(?:who|what|which|where)(?:'s| is| are) now\b(?! \w+ed\b| known| made|"
    r" seen| the)|\b(?:are|is|am|do|does|doing) (?:\w+ ){1,2}now\b(?! that| the| known|\w)|"
    r"\btaxi now\b",
    "moment": r"\bat (?:the|this) (?:very )?moment\b(?! of)|\ben ce moment\b|\bim moment\b",
    "minute": r"\bat this minute\b",
    "present": r"\bat present\b|\bpresent day\W*$",
    "far": r"\b(?:so|thus) far\b(?! (?:away|from|apart|as|behind|off))",
    "days": r"\bthese days\b|\b(?:\d+|few|couple of|some|two|three) days ago\b",
    "ago": r"\b(?:\d+|an?|few|couple of|some|two|three) (?:seconds?|minutes?|hours?|days?|"
    r"weeks?|months?) ago\b",
    "past": r"\b(?:in|over|for|during|within) the past (?:few |couple of |\w+ )?(?:hours?|"
    r"days?|weeks?|months?|year)\b",
    "last": r"\blast (?:week|weekend|month|year|night|season|game|match|election|holiday|"
    r"episode)\b(?! of| in which| before)|\b(?:in|over|for|during|within) the last (?:few |"
    r"couple of |\w+ )?(?:hours?|days?|weeks?|months?|year)\b",
    "next": r"\bnext (?:week|weekend|month|year|season|game|match|election|holiday|episode|"
    r"full moon|friday|monday|tuesday|wednesday|thursday|saturday|sunday|day off|super bowl|"
    r"world cup|olympics)\b(?! of| in which)",
    "holiday": r"\bholidays? (?:is )?coming up\b|\bsoonest holiday\b",
    "this": r"\bthis (?:week|month|year|weekend|morning|afternoon|evening|season|semester|"
    r"quarter|instant)\b",
    "latest": r"?\b(?<!at the )(?<!the very )latest\b(?! by\b)",
    "newest": r"?\bnewest\b",
    "upcoming": r"?\bupcoming\b",
    "recent": rf"?\bmost recent\b|\brecent {_RECENT_THING}\b",
    "recently": r"^(?:who|what|which|has|have|did|where|is|are)\b.{1,120}\brecently\W*$",
    "current": rf"?{_NOT_CURRENT}\bcurrent (?:\w+ ){{0,2}}?{_HELD}\b(?! in a (?:wire|circuit))|"
    r"\bwho(?:'s| is| are) the current\b",
    "ongoing": r"?\bongoing (?:\w+ )?(?:war|conflict|crisis|elections?)\b",
    "still": r"^(?:is|are|does|do|can|has|have|am|will|isn't|aren't|hasn't|who(?:'s| is|"
    r" are))\b.{1,100}\bstill\b(?! (?:life|water|love))",
    "yet": r"^(?:has|have|is|are|did|does|do|was|isn't|hasn't|haven't)\b.{1,120}\byet\W*$",
    "weather": r"(?:\b(?:what|how)(?:'s|s| is| will)(?: \w+)? (?:the )?weather\b|"
    r"\bweather(?: \w+)? (?:in|for|at|near|on|today|like)\b|^weather\b|"
    r"\bthe weather\W*$)(?! (?:in|during) (?:january|february|march|april|may|june|july|august|"
    r"september|october|november|december|spring|summer|fall|autumn|winter)\b)",
    "forecast": r"\bforecast (?:in|for|at|this)\b|\b(?:the|weather|'s) forecast\W*$",
    "temperature": r"\btemperature (?:outside|right|out there)\b|^what(?:'s|"
    r" is) the temperature(?: in [a-z ]{2,24})?\W*$",
    "rain": r"\b(?:is|will) it (?:be |going to )?rain\b",
    "raining": r"\bis it raining\b",
    "snow": r"\b(?:is|will) it (?:be |going to )?snow\b",
    "snowing": r"\bis it snowing\b",
    "traffic": r"\b(?:is|are|how|what|any|the|about|of|there|"
    r"city)(?:'s)? (?:\w+ ){0,3}?traffic\b(?! (?:light|sign|cone|stop|law|ticket|court|signal|"
    r"jams? (?:form|happen)))|^traffic (?:in|on|to|at|near)\b",
    "flight": r"\bflight [a-z]{1,2} ?\d+\b|\bflight status\b",
    "news": r"\b(?:breaking|top|today's|latest|international|sports|world|local|the|any|"
    r"some) news\b(?! (?:anchor|paper|letter|channel))|^news\b|\bnews (?:about|on|for|from|"
    r"in)\b",
    "score": r"\b(?:the|what's the|is the) score (?:of|in|for) (?:the|today)\b|\b(?:what's|"
    r"what is) the score\W*$",
    "happening": r"\bwhat(?:'s| is) happening\b(?! when| during| if)",
    "time": r"\bwhat(?:'s| is)? time (?:is it|it is)\b|\b(?:what's|what is|tell me|know|"
    r"give me) the (?:exact )?time(?: right now| now| in [a-z ]{2,24})?\W*$|^time (?:in|now)\b|"
    r"\bcurrent time\b|\bthe time (?:right )?now\b",
    "date": r"\b(?:what's|what is|tell me|know|share|"
    r"give me)(?: what)?(?: is)? the date(?: now)?\W*$|\bwhat date is it\b",
    "day": r"\bwhat day(?: of the (?:week|month))? (?:is it|it is|is this)\b",
    "month": r"\bwhat month is (?:it|this)\b",
    "year": r"\bwhat year is (?:it|this)\b",
    "clock": r"\bthe clock (?:say|show)\b|\bon the clock\b|\bthe clock say\b",
    "exchange": r"\bexchange rates?\b",
    "stock": r"\bstock (?:price|value|quote)s?\b(?! (?:is|are) (?:determined|calculated|set))|"
    r"\bstock (?:market )?(?:doing|trading)\b",
    "share": r"\bshare price\b",
    "price": r"?\b(?:what's|what is|whats|current|how much is)(?: the)? (?:price of|"
    r"price for) (?:a |one )?(?:bitcoin|btc|ethereum|eth|gold|silver|oil|gas|crude)\b|^(?:gold|"
    r"silver|oil|gas|bitcoin|btc|ethereum|eth) price\b",
    "winning": r"\bwho(?:'s| is) winning\b",
    "nearby": r"\bnearby\W*$|\bnearby my\b",
    "nearest": r"\bnearest\b.{1,30}(?:to me|to here|\?|$)",
    "uhr": r"\bwie ?viel uhr\b|\bum wieviel uhr\b",
    "sp\u00e4t": r"\bwie sp\u00e4t\b",
    "wetter": r"\bwetter\b(?= (?:in|heute|morgen|am)|\W*$)",
    "woche": r"\b(?:diese|letzte|n\u00e4chste) woche\b",
    "jahr": r"\b(?:dieses|letztes|n\u00e4chstes) jahr\b",
    "monat": r"\b(?:diesen|letzten|n\u00e4chsten) monat\b",
    "datum": r"\bwelches datum\b",
    "zeit": r"\bzur zeit\b(?! d)",
    "maintenant": r"\bmaintenant\b(?! que)",
    "hier": r"\bhier\W*$",
    "semaine": r"\b(?:cette|la) semaine(?: (?:derni\u00e8re|prochaine))?\b",
    "ann\u00e9e": r"\bcette ann\u00e9e\b",
    "mois": r"\bce mois\b",
    "heure": r"\bquelle heure\b",
    "temps": r"\bquel temps (?:fait|fera)\b",
    "actuel": r"\bactuel\b",
    "m\u00e9t\u00e9o": r"\bm\u00e9t\u00e9o\b",
}
_YEAR = re.compile(r"\b(?:1[0-9]|20)\d\d\b")
_TIMELESS = words("latest newest upcoming recent current ongoing price stock share exchange")
"""Words that say nothing about now where a year stands beside them."""
_BY_WORD = {word: re.compile(p.removeprefix("?"), re.DOTALL) for word, p in _PATTERNS.items()}
_CURRENCIES = words(
    "dollar dollars usd euro euros eur yen jpy pound pounds gbp peso pesos rupee rupees inr "
    "franc "
    "francs chf yuan cny cad aud won krw rubles ruble"
)
_ON_RATES = re.compile(
    r"\b(?:determin\w+|polic\w+|work|how (?:do|does|are|is)|why|affects?|what is an? |history|"
    r"basis|source|explain|wrong|charged|theory|fixed|floating|effects? of|difference)\b"
)
_OF_A_SITE = re.compile(r"\b(?:web ?sites?|sites?|blogs?|pages?|organic|web|channel|shop|store)\b")
WORDS = _ALWAYS | frozenset(_BY_WORD) | _CURRENCIES

_STATEMENT = re.compile(
    r"(?!(?:how|what|why|when|where|who|which|is|are|do|does|did|has|have|can|could|will|would|"
    r"should|tell|give|show|find|check|get|let|please|in|on)\b)[^?]{40,}\.$"
)
_TOLD = re.compile(
    r"(?:hi|hello|hey)?[\W]*(?:i|i'm|i've|im|my|we|our|if)\b(?! (?:need|want|wish|would like|"
    r"'d like) to (?:know|hear|see|find)|'d like to (?:know|hear|see|find)| need (?:a|the|"
    r"current|to get)\b)"
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


def is_about_now(text: str, seen: Set[str]) -> bool:
    """Return whether the answer changes with the moment of asking.

    What somebody tells about himself before he asks, and what a statement says, do not count.
    """
    if len(text) > 60:
        text = _asking(text)
        if not text:
            return False
    if not _ALWAYS.isdisjoint(seen) and any(word in text for word in _ALWAYS & seen):
        return True
    rates = _CURRENCIES & seen
    if (len(rates) > 1 or "exchange" in seen) and _rate(text, rates):
        return True
    for word in seen:
        pattern = _BY_WORD.get(word)
        if pattern is None or word == "exchange" or pattern.search(text) is None:
            continue
        if word == "traffic" and _OF_A_SITE.search(text):
            continue
        if word not in _TIMELESS or _YEAR.search(text) is None:
            return True
    return False


def _rate(text: str, currencies: Set[str]) -> bool:
    if _YEAR.search(text) or _ON_RATES.search(text):
        return False
    return len(currencies) > 1 or _BY_WORD["exchange"].search(text) is not None


def _asking(text: str) -> str:
    """Return the sentences that ask, "" where the text states or tells."""
    sentences = _SENTENCE.split(text)
    if len(sentences) > 1:
        text = " ".join(one for one in sentences if one.endswith("?")) or text
    if _STATEMENT.match(text) or (_TOLD.match(text) and len(text) > 60):
        return ""
    return text
