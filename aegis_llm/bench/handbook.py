"""Documents and questions in the manner of a company's handbook, written for the bench.

Each fact has a question, rewordings that mean the same, and a look-alike: another question in
nearly the same words, whose answer is another. A cache that takes one for the other is wrong.
"""

from __future__ import annotations

from typing import NamedTuple


class Fact(NamedTuple):
    """One thing that people ask about."""

    question: str
    rewordings: tuple[str, ...]
    look_alike: str


DOCUMENTS = (
    "Travel. Trips inside the country are booked by the team assistant, trips abroad by the "
    "travel desk. Train tickets are second class below four hours and first class above. A "
    "hotel may cost 140 euros a night, 190 in Zurich and London. Receipts are handed in "
    "within 30 days after the trip; later ones need the signature of the head of department. "
    "A private car is paid with 38 cents a kilometre.",
    "Working hours. The office is open from 6 to 22 o'clock. Core time is from 10 to 15 "
    "o'clock from Monday to Thursday. Up to 40 hours may be carried over into the next "
    "quarter. Employees may work from home on three days a week, apprentices on one. Overtime "
    "on Sundays is paid one and a half times and has to be approved by the works council "
    "beforehand.",
    "Equipment. Laptops are replaced every four years, telephones every three. A lost laptop "
    "is reported to the service desk within two hours, so that its disk can be locked. "
    "Screens for the home office are lent by the service desk. Private devices get into the "
    "guest network only. The password of the directory has at least 14 characters and is "
    "changed when it was disclosed.",
    "Leave. Full-time employees have 30 days of holiday. Up to 8 days may be taken over into "
    "the next year and expire at the end of March. Special leave is granted for a wedding "
    "(two days), a birth (three days) and a move (one day). Sick notes are handed in from the "
    "third day on. A sabbatical takes from three to twelve months and is requested half a "
    "year ahead.",
    "Purchasing. Orders below 500 euros are placed by the teams themselves. Orders above need "
    "two offers, those above 10,000 euros a tender. The supplier is paid within 14 days after "
    "the delivery note was signed. Software is ordered by the service desk alone, since "
    "licences are counted centrally. A framework contract is renewed every second year.",
    "Laboratory. The cold room is kept at 4 degrees, the archive freezer at minus 80. Samples "
    "are kept for ten years, those of patients for thirty. The fume hoods are inspected in "
    "May and November. Who works alone after 19 o'clock carries a pager. Spilled acid is "
    "neutralised with soda and reported to the safety officer.",
)

FACTS = (
    Fact("How many days of holiday does a full-time employee have?",
         ("How many holiday days does a full-time employee have?",
          "How many days of holiday do full-time employees have?"),
         "How many days of holiday may be taken over into the next year?"),
    Fact("How often are laptops replaced?",
         ("How often do laptops get replaced?", "How frequently are laptops replaced?"),
         "How often are telephones replaced?"),
    Fact("What is the temperature of the archive freezer?",
         ("What temperature does the archive freezer have?",
          "What's the temperature of the archive freezer?"),
         "What is the temperature of the cold room?"),
    Fact("How long are the samples of patients kept?",
         ("How long are patient samples kept?", "For how long are the samples of patients kept?"),
         "How long are samples kept that are not of patients?"),
    Fact("Who books trips abroad?",
         ("Who is booking trips abroad?", "By whom are trips abroad booked?"),
         "Who books trips inside the country?"),
    Fact("How much may a hotel cost in Zurich?",
         ("How much can a hotel cost in Zurich?", "What may a hotel in Zurich cost?"),
         "How much may a hotel cost in Berlin?"),
    Fact("When are the fume hoods inspected?",
         ("When do the fume hoods get inspected?", "When are fume hoods inspected?"),
         "Who inspects the fume hoods?"),
    Fact("How many offers does an order above 500 euros need?",
         ("How many offers are needed for an order above 500 euros?",
          "How many offers do orders above 500 euros need?"),
         "How many offers does an order above 10,000 euros need?"),
    Fact("How many characters must the password of the directory have?",
         ("How many characters does the password of the directory have to have?",
          "How many characters must the directory password have?"),
         "When must the password of the directory be changed?"),
    Fact("Within how many days are receipts handed in after a trip?",
         ("Within how many days must receipts be handed in after a trip?",
          "In how many days after a trip are receipts handed in?"),
         "From which day on are sick notes handed in?"),
    Fact("How is overtime on Sundays paid?",
         ("How is Sunday overtime paid?", "How does overtime on Sundays get paid?"),
         "Who approves overtime on Sundays?"),
    Fact("To whom is a lost laptop reported?",
         ("Who is a lost laptop reported to?", "To whom must a lost laptop be reported?"),
         "To whom is spilled acid reported?"),
)  # fmt: skip

_WORDS = (
    "river stone lamp garden window paper bridge winter engine letter market copper island "
    "signal harvest mirror ladder pocket thunder velvet anchor basket candle desert feather "
    "granite hammer insect jungle kettle lantern meadow needle orchard pepper quarry ribbon "
    "saddle timber umbrella valley whistle yellow zebra autumn barrel canyon dragon ember "
    "forest glacier harbor ivory jacket kernel lemon marble napkin ocean planet quartz rocket "
    "silver temple uniform violet wagon yonder acorn blanket cabin dolphin eagle fabric "
    "guitar hollow igloo jigsaw kitten lobster magnet nickel olive pebble quilt raven sailor "
    "tunnel urchin vessel walnut "
)
WORDS = tuple(_WORDS.split())
