"""Word lists that the gates read; English, plus the negations of German and French."""

from __future__ import annotations

from typing import Final


def split(text: str) -> list[str]:
    """Split a list of words that is written as prose."""
    return text.split()


def _each(text: str, role: int, value: str = "") -> dict[str, tuple[int, str]]:
    return dict.fromkeys(text.split(), (role, value))


def _name(text: str, name: str) -> dict[str, str]:
    return dict.fromkeys(text.split(), name)


NOTHING, AUXILIARY, ASKS, PREPOSITION, NEGATION, QUANTIFIER, PERSON, JOINER = range(8)
NUMERAL, CONTENT = 8, -1

ROLES: Final[dict[str, tuple[int, str]]] = (
    _each("a an the be been being done having one ones this that these those there", NOTHING)
    | _each("here please kindly really actually truly indeed exactly exact basically", NOTHING)
    | _each("simply literally so such very quite also just then well etc ever", NOTHING)
    | _each("hello hi hey thanks", NOTHING)
    | _each("thank ok okay let lets get gets got getting gotten go goes located", NOTHING)
    | _each("situated doing 's", NOTHING)
    | _each("it its itself", NOTHING, "x")
    | _each("is are am do does has have was were did had will would shall", AUXILIARY)
    | _each("can could may might must should ought", AUXILIARY)
    | _each("what which", ASKS, "what")
    | _each("howlong howoften howmany howmuch why how", ASKS)
    | _each("when where whose whattime", ASKS)
    | _each("who whom", ASKS, "who")
    | _each("of at for from by during around", PREPOSITION, "=")
    | _each("off out up down as across while per onto before since", PREPOSITION, "=")
    | _each("after against because despite than unlike behind beyond", PREPOSITION, "=")
    | _each("in within inside into", PREPOSITION, "in")
    | _each("about regarding concerning", PREPOSITION, "about")
    | _each("to toward towards", PREPOSITION, "to")
    | _each("on upon", PREPOSITION, "on")
    | _each("with using", PREPOSITION, "with")
    | _each("via through", PREPOSITION, "via")
    | _each("between among", PREPOSITION, "between")
    | _each("if whether", PREPOSITION, "if")
    | _each("until till", PREPOSITION, "until")
    | _each("above over", PREPOSITION, "above")
    | _each("below under beneath", PREPOSITION, "below")
    | _each("not non never no cannot nor neither none nothing nobody nowhere", NEGATION, "not")
    | _each("hardly barely dont doesnt didnt cant wont isnt arent wasnt", NEGATION, "not")
    | _each("werent couldnt shouldnt wouldnt nicht kein keine keinen keiner", NEGATION, "not")
    | _each("keines keinem nie niemals pas jamais aucun aucune", NEGATION, "not")
    | _each("without ohne sans", NEGATION, "without")
    | _each("except excluding au\u00dfer sauf", NEGATION, "except")
    | _each("unless", NEGATION, "unless")
    | _each("instead", NEGATION, "instead")
    | _each("all every each everything everyone everybody", QUANTIFIER, "all")
    | _each("only solely exclusively merely", QUANTIFIER, "only")
    | _each("most", QUANTIFIER, "most")
    | _each("both", QUANTIFIER, "both")
    | _each("any anyone anything anybody", QUANTIFIER, "any")
    | _each("some certain someone somebody something", QUANTIFIER, "some")
    | _each("few several", QUANTIFIER, "=")
    | _each("many much", QUANTIFIER, "many")
    | _each("i me we us", PERSON, "i")
    | _each("my mine myself our ours ourselves", PERSON, "my")
    | _each("you", PERSON, "you")
    | _each("your yours yourself yourselves", PERSON, "your")
    | _each("he him his himself", PERSON, "he")
    | _each("she her hers herself", PERSON, "she")
    | _each("they them their theirs themselves", PERSON, "they")
    | _each("and or vs versus &", JOINER)
)
"""Role of each function word, and its class; "=" is a class of its own, named by the word."""

ROLES.update({word: (role, word) for word, (role, value) in ROLES.items() if value == "="})

HARD_HEADS: Final = frozenset(
    split(
        "before after until since against because despite than unlike behind beyond above below"
        " per by about"
    )
)
"""Prepositions that must govern the same word in both texts."""

SAME_HEADS: Final = frozenset(frozenset(pair.split("/")) for pair in split("if/when in/during"))
"""Pairs of prepositions of which either may stand for the other."""

PARTICLES: Final = frozenset(split("out off down"))
"""Adverbs that make another verb of the verb before them."""

PRESENT: Final = frozenset(split("is are am do does has have"))
PAST: Final = frozenset(split("was were did had"))
FUTURE: Final = frozenset(split("will shall"))

OPENINGS: Final = (
    _name("should ought", "should")
    | _name("must", "must")
    | _name("can could may might", "can")
    | _name("will would shall", "will")
    | _name("is are am was were", "be")
    | _name("do does did", "do")
    | _name("has have had", "have")
)
"""Verbs that open a yes-no question, by what they ask."""

MONTHS: Final = dict(
    zip(
        split(
            "jan january feb february mar march apr april may may jun june jul july"
            " aug august sep september oct october nov november dec december"
        ),
        (m for m in range(1, 13) for _ in (0, 1)),
        strict=True,
    )
)

ROLES.update(
    {
        word: (NUMERAL, str(number))
        for number, word in enumerate(
            split(
                "zero . two three four five six seven eight nine ten eleven twelve thirteen"
                " fourteen fifteen sixteen seventeen eighteen nineteen twenty"
            )
        )
        if word != "."
    }
)
ROLES.update(
    {
        word: (NUMERAL, f"{number}th")
        for number, word in enumerate(
            split("first second third fourth fifth sixth seventh eighth ninth tenth"), start=1
        )
    }
)

UNITS: Final = {
    name: names.split()[0]
    for names in (
        "mg milligram milligrams",
        "ug mcg microgram micrograms",
        "g gram grams",
        "kg kilo kilos kilogram kilograms",
        "lb lbs pound pounds £ gbp quid",
        "oz ounce ounces",
        "mm millimeter millimeters millimetre millimetres",
        "cm centimeter centimeters centimetre centimetres",
        "km kilometer kilometers kilometre kilometres",
        "mi mile miles",
        "ft foot feet",
        "in inch inches",
        "ml milliliter milliliters millilitre millilitres",
        "l liter liters litre litres",
        "kb kilobyte kilobytes",
        "mb megabyte megabytes",
        "gb gigabyte gigabytes",
        "tb terabyte terabytes",
        "ms millisecond milliseconds",
        "sec secs second seconds",
        "min mins minute minutes",
        "h hr hrs hour hours",
        "day days",
        "week weeks",
        "month months",
        "year years yr yrs",
        "hz hertz",
        "khz kilohertz",
        "mhz megahertz",
        "ghz gigahertz",
        "w watt watts",
        "kw kilowatt kilowatts",
        "v volt volts",
        "% percent percentage",
        "$ dollar dollars usd bucks",
        "€ euro euros eur",
        "¥ yen jpy",
        "₹ rupee rupees inr rs",
        "cent cents",
        "c celsius centigrade °c",
        "f fahrenheit °f",
        "k thousand",
        "million millions mn",
        "billion billions bn",
        "am a.m",
        "pm p.m",
        "mph",
        "kmh",
        "t ton tons tonne tonnes",
        "gal gallon gallons",
        "pint pints",
        "acre acres",
        "ha hectare hectares",
        "kcal calorie calories",
        "decade decades",
        "century centuries",
        "knot knots",
    )
    for name in names.split()
}
"""Unit of a number by any of its names; read only beside a number."""
