"""Conversations and their last questions: those that stand alone, and those that do not."""

from __future__ import annotations

Talk = tuple[tuple[str, ...], str]
"""The turns before (of the user and the assistant in turns), and the question."""

_METALS = ("Which metals float on mercury?", "Most of them: iron, lead, copper.")
_LAWN = ("How often should a lawn be mowed?", "About once a week in the growing season.")
_TIDES = ("Why are there tides?", "Because gravity pulls at the water.",
          "What do sailors call a very low one?", "A neap tide.")  # fmt: skip
_BREAD = ("What makes bread rise?", "Yeast gives off gas.")

ALONE: tuple[Talk, ...] = (
    (_METALS, "What is the capital of France?"),
    (_METALS, "Who wrote Hamlet?"),
    (_METALS, "Who is the author of the Odyssey?"),
    (_METALS, "What is 15% of 68?"),
    (_LAWN, "Who painted the Mona Lisa?"),
    (_LAWN, "How can I reset a Fritzbox 7590 router?"),
    (_TIDES, "What is the capital of Norway?"),
    (_TIDES, "Who invented the Walkman?"),
    (_TIDES, "What is the tallest building in Dubai?"),
    (_BREAD, "Who composed Carmen?"),
    (_BREAD, "What is the official language of Brazil?"),
    (_BREAD, "What is 12 * 12?"),
    (_BREAD, "Who discovered Neptune?"),
    (_BREAD, "What is the currency of Japan?"),
    ((*_METALS, *_BREAD), "What is the capital of Portugal?"),
)

LEANING: tuple[Talk, ...] = (
    # the question points back
    (_METALS, "Which of them is the heaviest?"),
    (_METALS, "Why is that?"),
    (_METALS, "And what about Germany?"),
    (_METALS, "How does it react with sulfur?"),
    (_METALS, "What is the second one used for in industry?"),
    (_METALS, "Are there others in the periodic table?"),
    (_METALS, "What else floats on liquids of high density?"),
    (_METALS, "Is gold heavier?"),
    (_METALS, "Do the former conduct electricity in Celsius temperatures?"),
    (_METALS, "So what is the capital of France?"),
    (_METALS, "In France?"),
    (_METALS, "Who discovered it?"),
    (_METALS, "What did she find in the laboratory of Berlin?"),
    (_METALS, "Can the same be said of Gallium alloys?"),
    # the question names nothing: it may be about what was talked about
    (_LAWN, "What is the boiling point of water at sea level?"),
    (_LAWN, "How do solar panels convert sunlight into electricity?"),
    (_LAWN, "What is the largest planet in the solar system?"),
    (_TIDES, "How do vaccines protect people against measles epidemics?"),
    (_BREAD, "How do suspension bridges carry heavy traffic loads?"),
    (("How do I exit vim?", "With :q."), "How do I delete whole paragraphs of text?"),
    (("How does one start Blender?", "From the menu."), "How do I export a mesh as a PDF file?"),
    (("What should pregnant women eat?", "Greens."),
     "How much coffee can a woman drink per day?"),
    # the question leaves out what it is about
    (("What are the opening hours of the Louvre?", "From nine to six."),
     "How much does a ticket cost?"),
    (("What are the opening hours of the Louvre?", "From nine to six."),
     "How much is the entrance fee for adults?"),
    (("When did France become a member of the European Union?", "As a founder."),
     "When did Germany join?"),
    (("How does one apply for a passport?", "At the town hall."),
     "How long does processing take in Germany?"),
    (("Which phones does Samsung make?", "The Galaxy series."), "Is the battery replaceable?"),
    (("Which phones does Samsung make?", "The Galaxy series."),
     "How long does a battery charge last in winter?"),
    (("Which team has most titles?", "Brazil."), "Who was the captain of Italy?"),
    (("Which team has most titles?", "Brazil."), "Who beat France?"),
    (("Which team has most titles?", "Brazil."), "How many players did Spain send home?"),
    (("Which team has most titles?", "Brazil."), "Who was the top scorer of the tournament?"),
    (("Which novel is about a whale?", "Moby-Dick."), "Who is the author of the book?"),
    (("How do dogs get distemper?", "From other dogs."),
     "What are the symptoms in Labrador puppies?"),
    (("How do dogs get distemper?", "From other dogs."), "What are the symptoms?"),
    (("What do primary schools cost?", "Nothing."), "Which subjects are taught in Finland?"),
    (("Which medicine helps against fever?", "Ibuprofen."), "Is 500 mg too much?"),
    (("Which medicine helps against fever?", "Ibuprofen."), "Are 3 - 4 tablets dangerous?"),
    (("How is life in Portugal?", "Sunny."), "How are taxes on capital gains calculated?"),
    (("how is life in portugal?", "Sunny."), "How are taxes on capital gains calculated?"),
    (("Which phone has the best camera?", "Opinions differ."), "What is the price of the iPhone?"),
    (("Which phone has the best camera?", "Opinions differ."), "Which laptop is the best?"),
    # a name of several things
    (("Which states border Florida?", "Alabama is one."), "What is the capital of Georgia?"),
    (("Which islands belong to Indonesia?", "Bali is one."), "Who invented Java?"),
    # the turns before tell something, order something or set a frame
    (("I'm on Windows.", "Good to know."), "What is the capital of France?"),
    (("My daughter is five. Which books does she like?", "Picture books."), "Who wrote Hamlet?"),
    (("We live in Ohio.", "A fine place."), "Who is the governor of California?"),
    (("From now on answer in German.", "Gern."), "What is the capital of France?"),
    (("Can you answer in one word?", "Yes."), "What is the capital of France?"),
    (("Could you use metric units?", "Of course."), "What is the tallest building in Dubai?"),
    (("Do you speak Latin?", "Ita."), "What is the capital of France?"),
    (("Act as a pirate.", "Arr!"), "Who wrote Hamlet?"),
    (("Pretend the earth is flat?", "All right."), "What is the largest ocean of the earth?"),
    (("Suppose France is a republic of cats?", "Miaow."), "What is the capital of France?"),
    (("If Rome had won, what would have changed?", "A lot."), "What is the capital of Italy?"),
    (("What was Europe like in 1850?", "Different."), "Who is the king of England?"),
    (("What was it like at Google?", "Busy."), "Who is the author of the Odyssey?"),
    (("What does this mean: carpe diem?", "Seize the day."), "Who wrote Hamlet?"),
    (("Context:\nParis burned down and Lyon took its place.", "I see."),
     "What is the capital of France?"),
    (("What does `print(1)` do?", "It prints 1."), "Who wrote Hamlet?"),
    (("Is this true?\nHamlet was written by Bacon.", "No."), "Who wrote Hamlet?"),
    (("Why " + "very " * 60 + "long?", "Because."), "Who wrote Hamlet?"),
    (("Was kostet ein Ei?", "Dreissig Cent."), "Who wrote Hamlet?"),
    (("Which metals float?", "Many. Which one do you mean?"), "Who wrote Hamlet?"),
    # the turns before speak of the same
    (("What is the capital of Germany?", "Berlin."), "What is the capital of France?"),
    (("Which plays are tragedies?", "Hamlet is one."), "Who wrote Hamlet?"),
    (("How warm is it at the poles?", "Cold."), "What is the coldest point of Poland?"),
    # what is no plain English question
    (_METALS, "Tell me a joke about France"),
    (_METALS, "What is the capital of France? And of Spain?"),
    (_METALS, "What is the capital of my country?"),
    (_METALS, "Who is the current president of France?"),
    (_METALS, "Was kostet ein Ticket normalerweise?"),
    (_METALS, "Quelle est la capitale de la France ?"),
    (_METALS, "What is the capital of C\u00f4te d'Ivoire?"),
    (_METALS, "WHAT IS THE CAPITAL OF FRANCE?"),
    (_METALS, "capital of France"),
    (_METALS, ""),
    (_METALS, "\ud800"),
    (_METALS, "What is the capital of France" + " or so" * 100 + "?"),
)  # fmt: skip


def history(turns: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the turns as messages."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)]
