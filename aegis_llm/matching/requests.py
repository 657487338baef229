"""Tell what asks for something to be done or made: chance, code, texts, actions, inventions. Pure.

All functions take a question in lower case, without white space around it, and the watched words
in it.
"""

from __future__ import annotations

import re
from collections.abc import Set

from aegis_llm.matching.wordsets import words

_LEAD = re.compile(
    r"(?:(?:please|pls|plz|kindly|hey|hi|hello|ok|okay|alexa|siri|google|olly|computer|just|"
    r"try to|now|also|so|then|and|quickly|go ahead and|let'?s|lets|help me(?: to)?|listen|"
    r"(?:can|could|would|will|may|might) (?:you|i|we)(?: please| kindly| just| also)?|can u|"
    r"i(?:'d| would) like(?: you)?(?: to)?|i(?:'m going to|'ll| will| am going to|"
    r" really)? (?:want|need|wish|have)(?: you)?(?: to)?|i was wondering if you could|"
    r"would you mind|bitte|kannst du|k\u00f6nnen sie|k\u00f6nntest du|mal|peux-tu|pouvez-vous|"
    r"s'il (?:te|vous) pla\u00eet)[ ,!.:]+){0,5}"
)
_ASKS = re.compile(
    r"(?:how|what|why|when|where|who|whom|whose|which|is|are|was|were|do|does|did|has|have|"
    r"should|wie|was|warum|wieso|wann|wo|wer|welche[rsn]?|ist|sind|kann ich|darf ich|comment|"
    r"pourquoi|quand|o\u00f9|qui|quel(?:le)?s?|est-ce|puis-je)\b"
)
_HOW = re.compile(
    r"\b(?:how (?:to|do|can|could|would|should)|the (?:best|right|easiest) way to)\b"
)


def _request(text: str, *, polite: bool = True) -> str:
    """Return the text from its verb on when it tells someone to do something, else ""."""
    rest = text[_LEAD.match(text).end() :] if polite else text  # type: ignore[union-attr]  # matches ""
    return "" if _ASKS.match(rest) or _HOW.search(text) else rest


RANDOM_WORDS = words(
    "roll flip toss random randomly dice die d20 coin heads uuid uuids guid guids password "
    "passwords passphrase lottery shuffle shuffled draw pin otp token throw pick "
    "zuf\u00e4llig zuf\u00e4llige zuf\u00e4lligen zuf\u00e4lliges zuf\u00e4lliger zufallszahl "
    "w\u00fcrfle w\u00fcrfeln w\u00fcrfel m\u00fcnze passwort losen lose "
    "al\u00e9atoire hasard d\u00e9 d\u00e9s pile pi\u00e8ce"
)
_CHANCE = re.compile(
    r"\b(?:(?:re)?roll(?:ing)?\b[^.?!]{0,30}\b(?:die|dice|d\d+)|(?:die|dice|d\d+) roll|"
    r"(?:throw|roll|cast) (?:the|a|some|two|2) (?:die|dice)|(?:flip|toss)(?: me)? (?:a|the|"
    r"this|that|my|another|one|two|\d+)?[ -]?(?:\w+ )?coins?|heads or tails|coin (?:flip|toss)|"
    r"(?:pick|choose|select|draw)(?: me)? (?:a|any|one) (?:card|number)\b|(?:numbers?|"
    r"integers?) (?:between|from) \S{1,12} (?:and|to) \S{1,12}|(?:generate|create|make|give|"
    r"get|need|want|produce|suggest|show|new|another|issue)\b[^.?!]{0,40}\b(?:uuids?|guids?|"
    r"passwords?|passphrase|otp|one-time pin|random pin|secret (?:key|token)|api token)|"
    r"lottery numbers|shuffle (?:this|the|these|those|my|a)|randomly (?:pick|choose|select|"
    r"generate|order|assign|sort)|(?:pick|choose|select|assign|"
    r"generate)\b[^.?!]{0,40}\b(?:randomly|at random)|w\u00fcrfle|w\u00fcrfel (?:eine|einmal|"
    r"f\u00fcr|mit|zwei)|wirf\b[^.?!]{0,20}\b(?:m\u00fcnze|w\u00fcrfel)|zufallszahl|"
    r"lance[rz]?\b[^.?!]{0,20}\b(?:d\u00e9s?|pi\u00e8ce)|pile ou face|au hasard|"
    r"generier\w*\b[^.?!]{0,30}\bpasswort|g\u00e9n\u00e8re\b[^.?!]{0,30}\bmot de passe)"
)
_ANY_RANDOM = re.compile(r"\b(?:random|zuf\u00e4llig\w*|al\u00e9atoire)\b")
_PROGRAM = re.compile(
    r"\b(?:code|function|script|program|python|java|javascript|typescript|sql|regex|query|"
    r"algorithm|class|method|c\+\+|c#|rust|golang|bash|excel|numpy|pandas|react|html|app|api|"
    r"essay|story|poem|article|variables?|forests?|walks?|access|effects?|processes|sampling|"
    r"simulation|model|manager|policy|reset|strength|strong enough)\b"
)


def is_random(text: str, seen: Set[str]) -> bool:
    """Return whether chance makes the answer: another one is expected each time."""
    rest = _request(text)
    if not rest or _PROGRAM.search(rest):
        return False
    if _CHANCE.search(rest):
        return _is_order(rest) or len(rest) < 60
    return _ANY_RANDOM.search(rest) is not None and _is_order(rest)


_ORDER = re.compile(
    r"(?:a|an|one|another|some|\d+|two|three|five|ten)? ?(?:random|zuf\u00e4llig|nombre al)|"
    r"(?:pick|choose|generate|create|make|give|tell|select|draw|think|name|suggest|say|get|show|"
    r"produce|roll|reroll|flip|toss|throw|cast|shuffle|randomly|return|output|print|list|issue|"
    r"recommend|share|surprise|play|provide|new|lottery|heads|a|the|your|coin|dice|six|\d+|"
    r"gib|nenne|w\u00e4hle|w\u00fcrf\w+|wirf|generier\w*|erzeuge|zieh\w*|sag|zufallszahl|"
    r"donne|choisis\w*|tire\w*|lance\w*|g\u00e9n\u00e8re|dis|nomme|pile)\b"
)


def _is_order(rest: str) -> bool:
    return _ORDER.match(rest) is not None


CODE_WORDS = words(
    "code function method class script snippet query program regex test tests loop module file "
    "def import include select bug refactor debug codebase void const html css component "
    "unittest unittests pseudocode implementation fonction quelltext"
)
_CODE_NOUN = (
    r"(?:code(?:base)?|functions?|methods?|class(?:es)?|scripts?|snippets?|quer(?:y|ies)|"
    r"programs?|regex|(?:unit ?)?tests?|loops?|modules?|files?|components?|implementation|"
    r"pseudocode|fonction|quelltext|sql|html|css|json|yaml)"
)
_CHANGE_CODE = re.compile(
    r"\b(?:fix|refactor|debug|optimi[sz]e|rewrite|re-write|translate|convert|port|explain|"
    r"review|improve|complete|finish|simplify|clean up|document|comment|moderni[sz]e|lint|"
    r"format|minify|analy[sz]e|correct|check|test|extend|modify|change|update|migrate|speed up|"
    r"describe|korrigiere|verbessere|\u00fcbersetze|erkl\u00e4re|corrige|am\u00e9liore|traduis|"
    r"explique)\b"
    rf"[^.?!\n]{{0,30}}\b(?:this|the following|my|these|below|above|diese[nrs]?|meine[nrs]?|"
    rf"den|ce|cette|mon|ma|it)\b[^.?!\n]{{0,24}}\b{_CODE_NOUN}\b"
)
_CODE_SHOWN = re.compile(
    r"\bdef \w+\(|\bfunction \w+\([^)\n]{0,80}\) ?\{|\bclass \w+[(:{]|^\s*import [\w.]+ *$|"
    r"#include ?<|\bselect\b[^.?!]{1,120}\bfrom\b[^.?!]{1,80}(?:;|\bwhere\b[^.?!]{0,40}=)|"
    r"\bpublic (?:static )?(?:void|class|int)\b|=>\s*\{|\bconst \w+ = |"
    rf"\b(?:this|the following|given|below) {_CODE_NOUN}\b[^.?!\n]{{0,40}}[:\n]|\b(?:what does|"
    rf"what is wrong with|what's wrong with|is) (?:this|the following|my) {_CODE_NOUN}\b|"
    rf"\b(?:bug|error|mistake|problem) in (?:this|the following|my|the below) {_CODE_NOUN}\b",
    re.MULTILINE,
)


def is_code(text: str, seen: Set[str]) -> bool:
    """Return whether the question holds code, or asks about or for a change of code at hand."""
    return _CODE_SHOWN.search(text) is not None or (
        _CHANGE_CODE.search(text) is not None and _ASKS.match(text) is None
    )


TEXT_WORDS = words(
    "translate summarize summarise rewrite rephrase paraphrase proofread shorten correct edit "
    "following below classify extract fix improve grammar text paragraph sentence email "
    "passage article \u00fcbersetze \u00fcbersetz zusammenfassen traduis traduire r\u00e9sume "
    "fasse "
    "simplify convert polish extend expand"
)
_CHANGE_TEXT = re.compile(
    r"(?:translate|summari[sz]e|rewrite|re-write|rephrase|paraphrase|proofread|shorten|correct|"
    r"edit|classify|extract|fix|improve|simplify|convert|polish|expand|extend|analy[sz]e|"
    r"\u00fcbersetze?|traduis|traduire|r\u00e9sume|fasse|korrigiere|"
    r"corrige)\b[^\n]{0,40}?(?:[:\"\u201c\u00ab\u201e']\s*\S|\b(?:this|the following|these|"
    r"below|above|my|diesen?|dieses|folgenden?|ce|cette|suivant)\b)"
)
_TEXT_FOLLOWS = re.compile(
    r"\b(?:the following|following|below) (?:text|paragraph|sentences?|passage|article|email|"
    r"essay|words?|list|table|data|statements?|review|input|document)s?\b"
)


def is_text(text: str, seen: Set[str]) -> bool:
    """Return whether it asks to work on a text that it holds."""
    if _TEXT_FOLLOWS.search(text):
        return True
    return _CHANGE_TEXT.match(_request(text)) is not None


ACTION_WORDS = words(
    "book order buy purchase cancel send email text call schedule set turn switch play pause "
    "stop skip resume remind add remove delete create open close lock unlock start dim mute "
    "unmute transfer pay make reserve freeze unfreeze block unblock activate deactivate report "
    "subscribe unsubscribe post tweet print forward reply archive navigate wake notify put "
    "change increase decrease lower raise reschedule move request apply submit update clear "
    "erase enable disable snooze dial ring message reset share rent hail connect sync pair "
    "disconnect log sign upload brighten repeat shut find track attenuate taxi taxis uber "
    "reservation reservations hotel flight flights alarm alarms reminder volume ticket tickets "
    "table rental lights cab need want off on undo locate phone alert check confirm show read "
    "get let give tell buche bestelle storniere k\u00fcndige sende schicke schalte stelle "
    "stell spiele spiel erinnere \u00fcberweise rufe l\u00f6sche \u00f6ffne aktiviere "
    "reserviere mach r\u00e9serve commande annule envoie allume \u00e9teins joue rappelle "
    "appelle ach\u00e8te "
    "supprime ajoute vire programme"
)
_THE = (
    r"(?:the|a|an|my|our|this|that|these|those|all|some|me|us|any|his|her|their|\d+|two|three|"
    r"one)"
)
_THING = (
    r"(?:alarms?|timers?|reminders?|volume|brightness|thermostat|temperature|lights?|lamps?|"
    r"music|songs?|playlists?|calendar|cart|basket|to-?do|list|lists|events?|meetings?|"
    r"appointments?|reservations?|bookings?|flights?|tickets?|hotel|table|taxi|cab|uber|lyft|"
    r"ride|emails?|mails?|messages?|sms|subscriptions?|memberships?|orders?|payments?|"
    r"transfers?|account|accounts|card|cards|contacts?|notes?|door|doors|tv|radio|station|"
    r"podcast|audiobook|coffee|vacuum|fan|heater|heating|plug|socket|sound|speakers?|phone|"
    r"wifi|bluetooth|settings?|language|accent|notifications?|track|album|delivery|refund|"
    r"claim|fraud|pin|passcode|app|bill|invoice|money|funds|points|rewards|vacation|pto|"
    r"time off|day off|checks|pizza|rental|tweet|location|noise|alert|item)"
)
_ACTIONS = re.compile(
    rf"(?:book|reserve|rent|hail)\b (?:{_THE}|flights?|tickets?|hotels?|rooms?|train)\b|"
    rf"(?:order|buy|purchase) (?!of\b)(?:{_THE} |more |\w+ (?:from|online|for me))|(?:cancel|"
    rf"reschedule|freeze|unfreeze|block|unblock|activate|deactivate|report|confirm|track|pause|"
    rf"resume|stop|skip|delete|remove|clear|erase|archive|forward|print|share|update|change|"
    rf"snooze|lock|unlock|open|close|start|submit|request|repeat|reset|connect|sync|pair|"
    rf"disconnect|check|enable|disable|show|read|create|add|move|find|set|make|put|give|get|"
    rf"swap|switch)\b[^.?!]{{0,8}}\b(?:me|my|our|tomorrow's|"
    rf"today's)\b[^.?!]{{0,30}}\b{_THING}\b|(?:cancel|reschedule|snooze|pause|resume|stop|skip|"
    rf"mute|unmute|dim|brighten|lock|unlock|delete|remove|erase|clear|reset|activate|turn|"
    rf"switch|shut|increase|decrease|lower|raise|set|repeat|start|schedule|create|make|open|"
    rf"close|change|put|add|request|submit|play|report|send|post)\b(?: up| down| on|"
    rf" off)? (?:{_THE} )?(?:[\w'-]+ ){{0,3}}?{_THING}\b|"
    r"(?:turn|switch|power|shut|clap) (?:\w+ ){0,4}(?:on|off|up|down)\b|(?:cancel|stop|undo|"
    r"delete|remove|pause|send|repeat|mute|add) (?:that|this|it|all|yourself|out|everything)\b|"
    r"(?:send|text|email|message|dial|ring|phone|notify|alert|remind|wake|forward)\b (?:an?|me|"
    r"my|him|her|them|us|the|mom|mum|dad|this|that|\w+ (?:an?|that|to|and|about|saying)\b|"
    r"\w+$)|call (?:me|my|him|her|them|mom|mum|dad|\d|an? (?:cab|taxi|uber|lyft|doctor)|the |"
    r"\w+$)|tweet\b|send (?:response|reply|e?mails?|messages?)\b|(?:brighten|attenuate|off|"
    r"on) (?:all )?(?:the )?(?:lights?|tv|fan|lamp|sound|music)\b|(?:i )?(?:get|find|need|want|"
    r"going to need) (?:me )?(?:an?|some|the|another) (?:[\w'-]+ ){0,3}?(?:flight|hotel|room|"
    r"taxi|cab|uber|alarm|reminder|ticket|reservation|table|appointment|ride|"
    r"rental)s?\b(?!.{0,40}\?)|(?!.{0,200}\?$)(?:an? |the )?(?:alarm|reminder|flight|hotel|"
    r"table|reservation|ticket|uber|taxi|cab|rental)s? (?:[\w'-]+ )?(?:for|set|to|at|from) |"
    r"(?:track|check|find|locate) (?:the |that |an? )?(?:package|order|parcel|phone|delivery|"
    r"flight|days of)\b|(?:volume|speaker volume|sound|lights?) (?:up|down|off|on|set|increase|"
    r"decrease|lower)\b|(?:schedule|plan) (?:an?|my|the|some|\w+ (?:on|for|at|tomorrow|"
    r"today))\b|set (?:an?|the|my|up an?)? ?(?:\w+ ){0,3}(?:alarm|timer|reminder|meeting|"
    r"appointment)s?\b|(?:set|wake me)\b[^.?!]{0,30}\b(?:for|at|to) \d|wake me\b|(?:alarm|"
    r"timer|volume|reminder) (?:for|to|at) \S|taxi\b|play (?!store|school|dough|on words|"
    r"games?\b)(?:me |some |a |an |the |my |that |this |next |all |\w+(?: \w+){0,6}(?: by|"
    r" from| on| in| playlist| music| song| radio| album|$))|(?:next|previous|skip) (?:song|"
    r"track)\b|"
    rf"add \S[^.?!]{{0,50}} (?:to|on|in|into) (?:my|the|our|this|"
    rf"a) (?:[\w-]+ ){{0,3}}?{_THING}\b|"
    r"(?:take|remove) \S[^.?!]{0,40} (?:off|from) (?:my|the|our)\b|(?:transfer|pay|send|move|"
    r"wire) (?:[$\u20ac\u00a3]|\d|my |the |money|funds|for |off )|(?:make|place|file|submit|"
    r"put in) (?:an?|my|the) (?:\w+ ){0,2}(?:reservation|payment|call|transfer|order|"
    r"appointment|claim|deposit|booking|request|coffee|report)\b|(?:reply|respond) to\b|"
    r"navigate\b|take me (?:to|home)\b|(?:unsubscribe|subscribe|sign|log) me\b|(?:let|"
    r"tell) (?!me\b|us\b|you\b)\w+ (?:know|that|to|i)\b|(?:apply|sign up) for (?:me|my)\b|"
    r"buche\b|bestelle\b|storniere\b|k\u00fcndige\b|(?:sende|schicke)\b|schalte\b|(?:stelle?|"
    r"setze)\b[^.?!]{0,30}\b(?:wecker|timer|erinnerung|alarm)|spiele?\b (?!e\b)|erinnere\b|"
    r"\u00fcberweise\b|rufe?\b[^.?!]{0,30}\ban\b|l\u00f6sche\b|mach\b[^.?!]{0,20}\b(?:an|"
    r"aus)\b|reserviere\b|r\u00e9serve\b|commande\b|annule\b|envoie\b|allume\b|\u00e9teins\b|"
    r"joue\b|rappelle-moi\b|appelle\b|ach\u00e8te\b|supprime\b|(?:mets|"
    r"programme)\b[^.?!]{0,20}\b(?:alarme|minuteur|r\u00e9veil)"
)
_GENERIC_YOU = re.compile(
    r"(?:can|could|may|might) (?:you|i|we) (?!please)(?![^.?!]{0,60}\b(?:me|my|our|mom|mum|dad|"
    r"this|that|these|for me|lights?|volume|alarm|timer|reminder|music|song)\b)|(?:may|can|"
    r"could|might) (?:i|we) "
)


def is_action(text: str, seen: Set[str]) -> bool:
    """Return whether it asks for something to be done in the world."""
    if _GENERIC_YOU.match(text) or (text[:2] in ("i ", "i'") and "?" in text):
        return False
    rest = _request(text)
    return bool(rest) and _ACTIONS.match(rest) is not None


CREATIVE_WORDS = words(
    "poem poems haiku story stories joke jokes song lyrics rap limerick sonnet tale novel "
    "screenplay dialogue slogan slogans tagline taglines riddle riddles brainstorm pretend "
    "roleplay essay blog tweet tweets caption captions speech toast compose imagine funny "
    "laugh letter email names ideas invent fairy parody act post pun puns fact facts scene "
    "monologue ballad chapter script article pickup quote quotes advertisement paragraph "
    "compliment gedicht gedichte geschichte witz witze lied m\u00e4rchen erz\u00e4hl ideen "
    "po\u00e8me histoire "
    "blague blagues chanson conte id\u00e9es"
)
_INVENT = re.compile(
    r"(?:write|re-?write|compose|create|make up|make|invent|draft|tell|give|come up with|"
    r"generate|improvise|craft|recite|sing|say|hear|share|another|a|an|suggest|think of|"
    r"propose|know|do you know|schreibe?|verfasse|dichte|erz\u00e4hle?|erfinde|\u00e9cris|"
    r"\u00e9crivez|raconte|racontez|invente|compose)\b[^.?!\n]{0,70}\b(?:poems?|haikus?|"
    r"stor(?:y|ies)|jokes?|songs?|lyrics|rap|limericks?|sonnets?|tales?|novel|screenplay|"
    r"dialogue|slogans?|taglines?|riddles?|essay|blog|tweets?|captions?|speech|toast|letter|"
    r"emails?|(?:[a-z]+ )?names for|ideas|parody|posts?|puns?|scene|monologue|ballad|chapter|"
    r"article|fun facts?|random facts?|pickup lines?|script for (?:a|an|the|my) (?:movie|play|"
    r"film|video|show|skit|podcast)|advertisement|paragraph|compliment|something funny|"
    r"anything funny|gedichte?|geschichte|witze?|lied|m\u00e4rchen|ideen|po\u00e8mes?|histoire|"
    r"blagues?|chanson|conte|id\u00e9es)\b"
)
_ROLE = re.compile(
    r"(?:brainstorm|pretend\b|role-?play|act (?:as|like)\b|imagine (?:that )?(?:you|a|we)\b|"
    r"make me laugh|(?:\w+ )?jokes?$|tell me something\b)"
)


def is_creative(text: str, seen: Set[str]) -> bool:
    """Return whether something is to be invented, where the next one should be another."""
    rest = _request(text)
    if not rest:
        return False
    return _ROLE.match(rest) is not None or _INVENT.match(rest) is not None
