"""Tell what an answer rests on beside the question: the asker, or what was said before. Pure.

All functions take a question in lower case, without white space around it, and the watched words
in it.
"""

from __future__ import annotations

import re
from collections.abc import Set

from aegis_llm.matching.wordsets import words

_TOO_LONG = 400  # what is longer tells a story or gives instructions
PERSONAL_WORDS = words(
    "my mine our i im am me we us list calendar bill rent loan reminder reminders alarm alarms "
    "pto payday paycheck order package emails email meeting meetings off vacation mein meine "
    "meinem meinen meiner meines ich mir mon ma mes moi je j"
)
_RECORD = (
    r"(?:orders?|packages?|parcels?|shipments?|delivery|refunds?|balances?|accounts?|payments?|"
    r"transfers?|transactions?|statements?|bills?|invoices?|subscriptions?|membership|"
    r"bookings?|reservations?|flights?|tickets?|appointments?|calendar|meetings?|schedule|"
    r"agenda|reminders?|alarms?|lists?|to-?dos?|e?mails?|inbox|messages?|contacts|playlists?|"
    r"credit (?:score|limit|card|report)|cards?|limits?|pin|passcode|top-?up|top ups?|"
    r"withdrawals?|deposits?|checks?|cheques?|cash|salary|pay|paychecks?|vacation|pto|leave|"
    r"w-?2s?|tax(?:es)?|rewards?|points|insurance|application|claims?|loan|mortgage|spending|"
    r"expenses|debts?|charges?|wallet|location|name|birthday|tires?|gas|fuel|luggage|baggage|"
    r"bags|password|data|profile|usage|plan|contract|request|case|grades?|results|score|rate|"
    r"apr|income|money|funds|interest rate|shopping|identity|purchases?|history|savings|dues?|"
    r"room|lights|doors)"
)
_GENERIC = re.compile(
    r"\bhow (?:do|can|could|should|would|might|may|to|does one|about)\b|\bhow i (?:can|could|"
    r"should)\b|\bwhat (?:should|can|could|must|would|do(?! i have| we have| i owe|"
    r" i need to buy)|are the (?:steps|ways|best)|is the (?:best|right|easiest|fastest|process|"
    r"procedure|way)|are some|happens|if|to|shall|will happen)\b|\b(?:can|could|should|may|"
    r"must|shall|would|might) (?:i|we|my|someone|one|anyone)\b|\bif (?:i|my|we|you)\b|"
    r"\bis there (?:a|an|any|some) (?:way|limit|fee|charge|method|chance|possibility)\b|"
    r"\bis it (?:possible|ok|okay|safe|legal|bad|normal|good|better|worth|wise|necessary|free|"
    r"too|true)\b|\bdo i (?:need|have to|get|qualify|require|really|start|go|find|make|use)\b|"
    r"\bare there\b|\bwhere (?:can|could|should|do|would|to)\b|\bwhen (?:can|should|do|"
    r"must) i\b|\bwhich\b.{1,60}\bshould i\b|\bways? to\b|\btips\b|\bany(?:one)? (?:advice|"
    r"suggestions|idea)\b|\bsteps\b|^\w+ing\b|\bis there\b|\bwie (?:kann|k\u00f6nnen|soll|"
    r"\u00e4ndere|setze|mache|l\u00f6sche|bekomme|finde|erstelle)\b|\b(?:kann|darf|soll|"
    r"muss) ich\b|\bwas (?:kann|soll|muss|passiert)\b|\bcomment\b|\bpuis-je\b|\bdois-je\b|"
    r"\bque (?:faire|dois)\b|\bpeut-on\b"
)
_HOW_TO = re.compile(
    r"how (?:do|can|to|should|could|would)\b|(?:where|when|what) (?:can|should|could|do|must)\b|"
    r"(?:can|could|should|may) i\b"
)
_SURELY = re.compile(
    r"^(?:what|is|are|do|did|when|which|tell|show|check|has|have|any|"
    r"who)\b(?!.{0,80}\bhow (?:do|can|to)\b).{0,80}\b(?:on|in|to|from|"
    r"for) my (?:\w+ )?(?:calendar|schedule|agenda|inbox|to-?do|to do|list|cart|wallet|"
    r"account balance|contacts)\b|\bhow (?:much|many)\b.{0,40}\bdo i (?:make|earn|owe|"
    r"have left)\b|\b(?:if|whether) my \w+(?: for \w+)?.{0,30}\b(?:was|were|has been|have been|"
    r"is|are|went) (?:accepted|approved|declined|rejected|confirmed|booked|shipped|sent|"
    r"received|processed|paid|through|ready)\b|\bleft in my\b|\bi last\b|\b(?:bill|rent|"
    r"payment|insurance|loan) (?:is )?due\b|\bdue date for (?:my|the)\b"
)
_HELD = re.compile(
    r"\b(?:shopping|grocery|to-?do|todo|to do) list\b|\b(?:the|'s|on|my) calendar\b|"
    r"\bcalendar for\b|\b(?:water|gas|electric|electricity|cable|phone|medical|utility|"
    r"utilities|internet|insurance) bill\b|\b(?:have|got|'ve) (?:a |any |an )?(?:reservation|"
    r"booking|appointment|meeting|alarm|reminder)s?\b|\bmeetings? (?:schedule|today|"
    r"tomorrow)\b|\b(?:reminder|alarm)s? (?:set|are|going)\b|\bdays? (?:of )?(?:pto|off)\b|"
    r"\b(?:pto|vacation) days?\b|\b(?:pay ?day|paycheck)\b|\b(?:order|package) (?:status|"
    r"that i)\b|\b(?:new|unread) e?mails?\b|\bname for me\b|\bcredit limit\b|\bam i busy\b|"
    r"\bwhere i am\b|\bminimum payment\b|\b(?:next|any) alarms?\b|\balarms? (?:active|timings?|"
    r"called|set)\b|\bi owe\b|\b(?:call|refer to) me\b"
)
_STATE = re.compile(
    rf"\b(?:my|our)(?: [\w']+){{0,2}}? {_RECORD}\b|\b(?:mein|"
    rf"meine[mnrs]?)(?: \w+){{0,1}}? (?:bestellung|konto|kontostand|guthaben|paket|karte|"
    rf"rechnung|termine?|"
    r"r\u00fcckerstattung|lieferung|abo|vertrag|kalender|zahlung|\u00fcberweisung|flug|buchung|"
    r"sendung|passwort)\b|\b(?:mon|ma|mes)(?: \w+){0,1}? (?:commandes?|solde|compte|colis|"
    r"carte|factures?|rendez-vous|remboursement|livraison|abonnement|vol|billet|paiement|"
    r"virement|r\u00e9servation|dossier|agenda)\b"
)
_ASKER = re.compile(
    r"\bdo (?:i|we) (?:still )?(?:have|owe)\b(?! to\b)|\b(?:am i|are we) (?:\w+ )?(?:eligible|"
    r"enrolled|registered|subscribed|qualified|entitled|approved|covered|scheduled|logged|"
    r"overdrawn|behind|being charged|on time|late|paying|free)\b|\bhave i (?:\w+ )?(?:been|"
    r"paid|received|got|gotten|spent|used|earned|missed|ordered|booked|set|won|saved|taken|"
    r"left|accrued)\b|\bhow (?:much|many)\b.{0,60}\b(?:do i|i have|have i|did i|i've|i owe|"
    r"am i|i spen[dt]|i earn)\b(?! need| have to| require)|\b(?:did|"
    r"have) i (?:already )?(?:pay|paid|order|buy|spend|spent|receive|get|book|send|set|win)\b|"
    r"\bwhat (?:did|have) i (?:just )?(?:buy|bought|spen[dt]|order(?:ed)?|pa(?:y|id)|said|say|"
    r"ask(?:ed)?)\b|\b(?:was|were|why am|am|why was) i (?:\w+ )?(?:charged|billed|refunded|"
    r"blocked|denied|declined|rejected|overcharged|debited|being charged|invoiced)\b|\bi(?:'ve|"
    r" have| was| am|'m| got| been| think i was)? (?:\w+ )?(?:been |"
    r"being )?(?:over)?charged\b(?! particle)|\bwho am i\b|\bwhere am i\b|\bwhere (?:do i|"
    r"did i|have i|is my|are my|was my|'s my)\b(?! (?:find|get|go|buy|start|apply|see|need|"
    r"report|send|look|sign|register|download|put|begin|change|file|learn|submit|enter|turn))|"
    r"\bwhen (?:will i|did i|am i)\b|\bwhy (?:hasn't|haven't|didn't|has|have|did|was|were|is|"
    r"are|isn't|wasn't|can't|does|"
    rf"doesn't|won't|wouldn't) (?:my|our)(?: \w+){{0,2}}? {_RECORD}\b|"
    r"\bi (?:still )?(?:haven't|havent|have not|didn't|did not|never|don't|do not|can't|cannot|"
    r"could not|couldn't) (?:yet |ever )?(?:receive|received|get|got|gotten|recogni[sz]e|make|"
    r"made|authori[sz]e|see|find)\b.{0,60}\b(?:card|refund|order|package|payment|transaction|"
    r"transfer|charge|withdrawal|money|fee|debit)\b|\b(?:bin ich|habe ich|schulde ich)\b|"
    r"\b(?:ai-je|suis-je)\b"
)


def is_personal(text: str, seen: Set[str]) -> bool:
    """Return whether the answer rests on the asker's own records or state."""
    if len(text) > _TOO_LONG:
        return False
    if _GENERIC.search(text):
        return _SURELY.search(text) is not None and _HOW_TO.match(text) is None
    if _STATE.search(text) or _ASKER.search(text):
        return True
    return _HELD.search(text) is not None or _SURELY.search(text) is not None


FOLLOW_UP_WORDS = words(
    "it she he they them him her his its their this that these those one ones and but or so "
    "then also else more again another same former latter above previous previously earlier "
    "instead continue elaborate explain expand shorter longer simpler about why how yes no ok "
    "okay other others first second last there expand what mentioned said rephrase und oder "
    "aber warum wieso mehr nochmal noch sie er es das dies auch "
    "et ou mais pourquoi encore plus elle il ils ce cela \u00e7a aussi"
)
FEW = 4
_BEGIN = re.compile(
    r"(?:and|but|or|also|und|oder|aber|et|mais|ou)\b(?! so)[ ,](?=[^.]{0,50}$|[^.]{0,90}\?$)|"
    r"(?:so|then|ok|okay|yes|no|well)[, ]+(?:what|why|how|is|are|do|does|can|which|who|when|"
    r"where)\b(?=.{0,24}$)|(?:and |so |but )?(?:what|how) about\b(?=.{0,60}$)|was ist mit\b|"
    r"wie w\u00e4re\b|et pour\b|qu'en est-il\b|(?:why|how|when|where|who|which|what|which one|"
    r"why not|how so|how come|since when|how much|how many|really|warum|wieso|weshalb|wann|wo|"
    r"wer|pourquoi|comment|quand|lequel|ok|okay|yes|no|more|next|again|continue)\W*$|"
    r"(?:please |can you |could you )?(?:tell me more|go on|continue|elaborate|expand|rephrase|"
    r"repeat (?:that|it)|say (?:that|it) again|explain (?:it|that|this|again|further|more|"
    r"yourself)|more (?:details?|examples?|info\w*)|give me (?:an(?:other)?|more|"
    r"some) examples?|an(?:other)? example|another one|one more|shorter|longer|simpler|"
    r"in (?:more|less) detail|(?:which|what) one (?:is|was|should|do|"
    r"would)\b(?=[\w ]{0,20}\?*$)(?!.* or )|(?:what|who) else(?: \w+){0,2}\W*$|anything else|"
    r"where else|same (?:for|with|question)|summari[sz]e (?:it|that|this)|translate (?:it|that|"
    r"this)|make it|can you (?:explain|elaborate|clarify)\W*$|erz\u00e4hl mir mehr|mehr dazu|"
    r"noch eine?[rs]?\b|nochmal|dis-m'en plus|encore une?\b)"
)
_REFERS = re.compile(
    r"\bthe (?:first|second|third|other|last|next|latter|former|previous) ones?\b|"
    r"\bthe (?:first|last|other) (?:two|three)\W*$|\bthe (?:former|latter|others|"
    r"other)\b(?=\W*$| (?:is|was|are|do|does|or|and|mean|better|work)\b)|\bthe (?:above|"
    r"aforementioned|previous (?:answer|question|one|point|example|message))\b|\b(?:that|this|"
    r"these|those) ones?\b(?! \w+ing| \w+ that|\w)(?=\W*$| (?:is|was|too|instead|mean|work|do|"
    r"does)\b)|\b(?:you|we|i) (?:just |previously |already )?(?:said|say|mentioned|told me|"
    r"listed|wrote|suggested|recommended) (?:above|before|earlier)\b|\b(?:your|my) (?:last|"
    r"previous|first) (?:answer|question|message|response|point|sentence)\b|\b(?:as|mentioned|"
    r"said|stated) (?:above|before|earlier|previously)\b|\bwhat you (?:just )?said\b"
)
_AUX = (
    r"(?:is|are|was|were|does|do|did|can|could|will|would|should|has|have|had|may|might|must|"
    r"isn't|aren't|wasn't|doesn't|don't|didn't|can't|won't|'s)"
)
_PRONOUN = re.compile(
    rf"(?:who|what|when|where|why|how|which|how (?:old|tall|much|many|long|far|big|often|well|"
    rf"fast|high|rich|deep|large|good|bad|"
    rf"expensive))?(?:'s)? ?{_AUX}?(?:n't)? ?(?:(?P<person>he|she|they)|(?P<thing>it|this|that|"
    rf"these|those))\b(?P<rest>.*)",
    re.DOTALL,
)
_OBJECT = re.compile(
    r"(?:who|what|when|where|why|how|can you|could you|please|do you|"
    r"did you)?(?: \w+){1,2} (?:it|him|her|them|this|that|these|those)"
    r"(?: (?:first|originally|again|then|exactly|now|here|work|for|from|with|about))?\W*"
)
_DUMMY = re.compile(
    r"\b(?:to|that|if|when|for|like|because|as|than|being|having|whether|who|which|of|true|"
    r"possible|possibly|\w+ing)\b"
)
_GOES_ON = re.compile(
    r"(?:mean|work|happen|make|take|cost|look|do|go|possible|safe|true|correct|right|wrong|"
    r"good|bad|help|apply|matter|about|all|so|really|still|too|not|a|an|the|because)\b"
)
_OF_IT = re.compile(
    r"^(?:what|who|when|where|why|how|which|is|are|was|does|do|did|can)\b(?: \w+){0,4}? (?:of|"
    r"about|with|for|from|by|in|to|on) (?:it|him|her|them|this|that|these|those)\W*$|^(?:what|"
    r"who|where|when|how old|how|why)(?:'s| is| are| was| were) (?:his|her|its|their)\b|"
    r"^(?:wie (?:alt|gro\u00df)|wann|wo|wer|was|warum) (?:ist|war|sind|hat|wurde) (?:er|sie|es|"
    r"das|dies)\b(?: \w+)?\W*$|^(?:quel \u00e2ge a-t-|qui est-|o\u00f9 est-|quand est-)(?:il|"
    r"elle)\b"
)


def is_follow_up(text: str, seen: Set[str]) -> bool:
    """Return whether the question leans on what was said before it."""
    if _BEGIN.match(text) or _REFERS.search(text) or _OF_IT.match(text):
        return True
    return _without_referent(text)


def _without_referent(text: str) -> bool:
    """Return whether it speaks of someone or something that it does not name before."""
    found = _PRONOUN.fullmatch(text)
    if found is None:
        return _OBJECT.fullmatch(text) is not None
    rest = found["rest"]
    said = rest.split()
    if found["person"]:
        return len(said) <= (3 if found["person"] == "they" else 7)
    if found["thing"] != "it" and said and _GOES_ON.match(said[0]) is None:
        return False
    return len(said) <= 3 and _DUMMY.search(rest) is None


_FRAGMENT = re.compile(
    r"\s*(?:in|for|with|without|from|at|on|by|to|since|during|f\u00fcr|mit|ohne|seit|pour|avec|"
    r"sans|depuis) [^.!?]{1,40}\?\s*"
)


def is_fragment(text: str) -> bool:
    """Return whether a short text only adds a circumstance to an earlier question."""
    return _FRAGMENT.fullmatch(text) is not None
