"""Words that mean the contrary of each other: listed, or by what they begin or end with. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from aegis_llm.gates.synonyms import CANONICAL
from aegis_llm.gates.words import ROLES, split

_INFLECTED: Final = 4
_SHORTEST: Final = 3
_DENYING: Final = {"un": 3, "in": 4, "im": 4, "ir": 4, "il": 4, "dis": 4, "non": 4, "de": 4}
"""What makes a word its contrary ("able", "unable"), and from how many letters on."""
_PREFIXES: Final = tuple(
    (one, other)
    for pair in split(
        "in/out in/ex im/ex en/de as/des up/down over/under pre/post upper/lower hyper/hypo"
        " macro/micro endo/exo inter/intra bi/uni mono/poly mono/multi homo/hetero max/min"
        " front/back fore/back pro/anti in/de as/dis intro/extro"
    )
    for one, other in (pair.split("/"), pair.split("/")[::-1])
)
"""Beginnings that make contraries of the same rest: "inbound", "outbound"."""
_SUFFIXES: Final = tuple(
    (one, other)
    for pair in split("ful/less ed/less y/less er/ee or/ee")
    for one, other in (pair.split("/"), pair.split("/")[::-1])
)
"""Endings that do: "useful", "useless"; "wired", "wireless"; "payer", "payee"."""

OPPOSITES: Final[dict[str, frozenset[str]]] = {}
"""For each word, the words that mean its contrary in some use."""


def _note(pair: str) -> None:
    left, _, right = pair.partition("/")
    for one in left.split(","):
        for other in right.split(","):
            OPPOSITES[one] = OPPOSITES.get(one, frozenset()) | {other}
            OPPOSITES[other] = OPPOSITES.get(other, frozenset()) | {one}


def _graded(word: str, ending: str) -> str:
    """Return the comparative or superlative of a short adjective."""
    if word.endswith("y"):
        return word[:-1] + "i" + ending
    if word.endswith("e"):
        return word[:-1] + ending
    vowels = [char in "aeiou" for char in word]
    doubled = sum(vowels) == 1 and vowels[-2] and word[-1] not in "wxy"
    return word + (word[-1] if doubled else "") + ending


for _pair in split(
    "enable/disable activate/deactivate before/after more/less,fewer most/least,fewest"
    " first/last highest/lowest high/low higher/lower maximum/minimum max/min include/exclude"
    " including/excluding with/without increase/decrease,reduce,lower raise/lower,reduce"
    " must/may,can,could should/will,shall start,begin/stop,end,finish open/close,shut on/off"
    " up/down in/out left/right over/under above/below inside/outside internal/external"
    " buy,purchase/sell import/export upload/download encrypt/decrypt encode/decode"
    " compress/decompress,extract push/pull add/remove,subtract,delete insert/delete,remove"
    " create,make/delete,destroy install/uninstall install/remove lock/unlock"
    " allow,permit/forbid,deny,block,prevent accept/reject,decline,refuse connect/disconnect"
    " attach/detach show/hide expand/collapse grow/shrink gain/lose win/lose pass/fail"
    " succeed/fail success/failure love/hate like/dislike good/bad best/worst better/worse"
    " safe/unsafe,dangerous legal/illegal positive/negative true/false advantage/disadvantage"
    " pro/con benefit/risk,drawback strength/weakness healthy/unhealthy hot/cold warm/cool"
    " big,large/small,little larger,bigger/smaller largest,biggest/smallest long/short"
    " longer/shorter longest/shortest tall/short taller/shorter tallest/shortest"
    " fast,quick/slow faster/slower fastest/slowest old/new,young older/newer,younger"
    " oldest/newest,youngest earliest/latest early/late earlier/later rich/poor strong/weak"
    " hard,difficult/easy,soft heavy/light cheap/expensive cheapest/expensive near/far"
    " male/female man/woman men/women boy/girl son/daughter father/mother brother/sister"
    " husband/wife king/queen input/output read/write send/receive lend/borrow teach/learn"
    " arrive/depart,leave arrival/departure enter/leave,exit ascending/descending asc/desc"
    " vertical/horizontal public/private local/remote client/server online/offline"
    " active/inactive even/odd always/never all/none,some forward/backward front/back"
    " top/bottom north/south east/west northern/southern eastern/western morning/evening"
    " day/night past/future previous/next ancient/modern sync/async synchronous/asynchronous"
    " manual/automatic serial/parallel and/or static/dynamic mutable/immutable"
    " upgrade/downgrade deposit/withdraw debit/credit profit/loss hire/fire employer/employee"
    " parent/child majority/minority major/minor odd/even single/married,multiple"
    " presence/absence wider/narrower wide/narrow deep/shallow rise/fall ally/enemy"
    " attack/defend cause/cure,prevent agree/disagree appear/disappear freeze/thaw,melt"
    " subscribe/unsubscribe login/logout follow/unfollow mute/unmute mount/unmount"
    " join/leave,split merge/split since/until if/because inflate/deflate cheaper/dearer"
    " able/unable optional/mandatory voluntary/compulsory upper/lower lower/raise inner/outer"
    " buyer,purchaser/seller,vendor lender/borrower landlord/tenant gross/net supply/demand"
    " domestic/international,foreign,overseas prefix/suffix frontend/backend producer/consumer"
    " publisher/subscriber source/destination,target sender/recipient,receiver,addressee"
    " hardware/software full/partial,empty complete/partial,incomplete teacher/student,pupil"
    " user/admin,administrator new/existing,used existing/former"
    " blacklist,denylist,blocklist/whitelist,allowlist benign/malignant acute/chronic"
    " systolic/diastolic bull/bear bullish/bearish concave/convex wired/wireless"
    " guilty/innocent numerator/denominator latitude/longitude sine/cosine sunrise/sunset"
    " dawn/dusk herbivore/carnivore predator/prey inhale/exhale rollback/rollout"
    " save/spend,discard earn/spend lengthen/shorten thicken/thin thick/thin fat/thin,lean"
    " aunt/uncle niece/nephew widow/widower bride/groom,bridegroom junior/senior"
    " basic,introductory,elementary/advanced beginner/expert,advanced amateur/professional"
    " hostile/friendly bright,light/dark lighten,brighten/darken clean/dirty sharp/blunt,dull"
    " smooth/rough tight/loose tighten/loosen critical/minor,trivial"
    " development,staging,test,testing/production ancestor/descendant predecessor/successor"
    " married/divorced,unmarried marriage/divorce marry/divorce call/put bid/ask"
    " nominee/winner winner/loser winner/runner-up peace/war victory/defeat birth/death"
    " born/dead,died alive/dead living/dead incoming/outgoing"
    " revenue,income/expense,expenses,expenditure asset/liability tenant/owner renter/owner"
    " plaintiff,claimant/defendant prosecution/defence,defense acidic/alkaline"
    " acid/alkali,base anode/cathode dominant/recessive prepend/append head/tail"
    " prologue/epilogue singular/plural request/response host/guest departing/arriving"
    " outbound,outward/inbound,return single/return ceiling/floor approve/reject,deny,decline"
    " grant/revoke,deny assign/unassign promote/demote renew/cancel pause/resume"
    " suspend/resume stop/resume commit/revert backup/restore dump/restore undo/redo"
    " fill/empty accelerate/brake,decelerate sharpen/blur strengthen/weaken gain/shed,lose"
    " fresh/frozen,stale raw/cooked sweet/sour,bitter wet/dry rural/urban coastal/inland"
    " residential/commercial personal,private/business private/commercial temporary/permanent"
    " stable/unstable,beta,nightly debug/release training/inference precision/recall"
    " encoder/decoder symmetric/asymmetric typical/atypical zip/unzip indoors/outdoors"
    " clockwise/counterclockwise,anticlockwise portrait/landscape retail/wholesale"
    " fixed/variable,floating simple/compound,complex soluble/insoluble civil/criminal"
    " maternity/paternity maternal/paternal union/intersection oxidation/reduction artery/vein"
    " latest,newest/oldest optimist/pessimist optimistic/pessimistic quantity/quality"
    " leader/follower primary/secondary,replica master/slave,replica sunk/floating"
    " creditor/debtor deductible/premium full-time/part-time pre-tax/after-tax"
    " before-tax/after-tax http/https mean/median macro/micro prehistoric/historic"
    " hourly/daily,weekly,monthly,quarterly,yearly,annual"
    " daily/weekly,monthly,quarterly,yearly,annual weekly/monthly,quarterly,yearly,annual"
    " monthly/quarterly,yearly,annual,annually quarterly/yearly,annual,annually"
    " prince/princess actor/actress host/hostess waiter/waitress steward/stewardess"
    " heir/heiress closer,nearer/farther,further closest,nearest/farthest,furthest"
    " greater/smaller,lesser,lower greatest/smallest,least,lowest"
    " happy/sad loud,noisy/quiet safe/risky rare/common mild/severe broad/narrow wealthy/poor"
    " synonym/antonym"
):
    _note(_pair)

for _pair in split(
    "strong,tough/weak rich,wealthy/poor hard,tough/easy,simple,soft heavy/light dark/light,bright"
    " hot,warm/cold,cool wide,broad/narrow deep/shallow loud,noisy/quiet,soft thick/thin,fine"
    " clean/dirty tight/loose safe/risky happy/sad sharp/blunt,dull smooth/rough fresh/stale"
    " sweet/sour wet/dry fat/thin,lean big,large/small,tiny long,tall/short fast,quick/slow"
    " old/new,young early/late smart,clever/dumb cheap/dear bright/dull,dim healthy/sick"
    " coarse/fine dense/sparse straight/curly mild/severe kind/cruel calm/rough rare/common"
):
    for _ending in ("er", "est"):
        _note("/".join(",".join(_graded(_word, _ending) for _word in _side.split(","))
                       for _side in _pair.split("/")))  # fmt: skip


@lru_cache(maxsize=4096)
def contraries(word: str) -> frozenset[str]:
    """Return the words that may mean the contrary of a word, whatever its inflection."""
    forms = plain_forms(word)
    made = (other for form in forms if form not in ROLES for other in _made(form))
    return frozenset(made).union(*(OPPOSITES.get(form, ()) for form in forms))


@lru_cache(maxsize=4096)
def denials(word: str) -> frozenset[str]:
    """Return what a beginning makes of a word as it stands: who is unfriended was a friend."""
    if word in ROLES:
        return frozenset()
    bare = {
        word.removeprefix(prefix)
        for prefix, shortest in _DENYING.items()
        if word.startswith(prefix) and len(word) >= len(prefix) + shortest
    }
    longer = {prefix + word for prefix, shortest in _DENYING.items() if len(word) >= shortest}
    return frozenset((bare | longer) - ROLES.keys())


def _made(word: str) -> Iterator[str]:
    """Yield what another beginning or ending makes of a word; few of these are words."""
    for one, other in _PREFIXES:
        if len(word) >= len(one) + _SHORTEST and word.startswith(one):
            yield other + word[len(one) :]
    for one, other in _SUFFIXES:
        if len(word) >= len(one) + _SHORTEST and word.endswith(one):
            yield word[: -len(one)] + other


@lru_cache(maxsize=4096)
def plain_forms(word: str) -> tuple[str, ...]:
    """Return a word and what it may be an inflection of."""
    forms = [word, CANONICAL.get(word, word)]
    if len(word) > _INFLECTED:
        for ending, instead in (("s", ""), ("es", ""), ("ed", ""), ("d", ""), ("ing", ""),
                                ("ing", "e"), ("ies", "y"), ("ied", "y")):  # fmt: skip
            if word.endswith(ending):
                forms.append(word.removesuffix(ending) + instead)
    return tuple(forms)
