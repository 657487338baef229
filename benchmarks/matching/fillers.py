"""What the slots of the templates are filled with: listed values, and made-up numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

Value = tuple[str, ...]
"""One meaning and the ways to write it, the usual one first."""
Maker = Callable[[Random], Value]

TEXTS = Path(__file__).parent / "texts"
_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_NTH = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_FOLDERS = [
    "/etc",
    "/srv",
    "/opt",
    "/home/ann",
    "/var/log",
    "/usr/local/lib",
    "C:\\Data",
    "D:\\backup",
    "~/notes",
]
_FILES = [
    "hosts",
    "settings",
    "orders",
    "users",
    "backup",
    "main",
    "build",
    "report",
    "index",
    "worker",
]
_ENDINGS = ["conf", "yaml", "log", "py", "csv", "tar.gz", "txt", "json", "db"]
_HOSTS = [
    "shop.example",
    "api.example.org",
    "docs.example.com",
    "status.example.net",
    "files.example",
]
_PATHS = [
    "v1/orders",
    "v2/orders",
    "users/7",
    "users/8",
    "login",
    "search",
    "images/logo.png",
    "health",
    "metrics",
]
_COMMANDS = (
    "git rebase -i", "git reset --hard", "git reset --soft", "git push --force", "rm -rf build",
    "rm -r build", "docker run -it", "docker run -d", "chmod 755 run.sh", "chmod 644 run.sh",
    "tar -xzf a.tgz", "tar -czf a.tgz", "ls -la", "ls -lt", "kubectl get pods",
    "kubectl delete pods", "pip install -e .", "pip install -U .", "sort -n", "sort -r",
    "grep -i todo", "grep -v todo", "x = y[1:]", "x = y[:1]", "a and b", "a or b", "i += 1",
    "i -= 1", "SELECT COUNT(*)", "SELECT MAX(*)",
)  # fmt: skip
_PHRASES = (
    "good morning", "good evening", "see you soon", "long live the king", "thank you", "well done",
    "break a leg", "of course", "never mind", "by heart", "at once", "bless you", "cheers",
    "hurry up", "take care", "half past nine", "no smoking", "mind the step", "out of order",
    "happy birthday", "on the house", "under the weather", "piece of cake", "once in a blue moon",
)  # fmt: skip
_CODES = ["E", "ERR_", "0x80", "ORA-", "TS", "HTTP-", "SYS"]
_BOXES = [
    "sales",
    "support",
    "billing",
    "jobs",
    "press",
    "admin",
    "legal",
    "office",
    "team-a",
    "team-b",
]


@dataclass(frozen=True)
class Slot:
    """A kind of filler: the word for what a wrong one gets wrong, and how to draw one."""

    kind: str
    draw: Maker
    near: Callable[[Random, Value], tuple[Value, str]] | None = None

    def other(self, rng: Random, value: Value) -> tuple[Value, str]:
        """Return a value that means something else, and what kind of difference that is."""
        if self.near is not None and rng.random() < 0.5:
            found, kind = self.near(rng, value)
            if found != value:
                return found, kind
        found = value
        while found[0] == value[0]:
            found = self.draw(rng)
        return found, self.kind


def listed(kind: str, text: str) -> Slot:
    """Read a slot's values: `first/other way to write it | second`."""
    values = [tuple(way.strip() for way in value.split("/")) for value in text.split(" | ")]
    return Slot(kind, lambda rng: rng.choice(values))


def slots() -> dict[str, Slot]:
    """Return all slots that every topic may use."""
    found = _made()
    for line in (TEXTS / "fillers.txt").read_text(encoding="utf8").splitlines():
        name, kind, values = parts_of(line)
        found[name] = listed(kind, values)
    return found


def parts_of(line: str) -> tuple[str, str, str]:
    """Split `name (kind): values`."""
    head, _, values = line.partition("): ")
    name, _, kind = head.partition(" (")
    return name.strip(), kind, values.strip()


def _whole(low: int, high: int) -> Maker:
    def draw(rng: Random) -> Value:
        number = rng.randint(low, high)
        return (str(number), _ONES[number]) if number < len(_ONES) else (str(number),)

    return draw


def _measured(low: int, high: int, step: int, *units: str) -> Slot:
    """A number with a unit, of which either may be another one."""
    choices = [tuple(unit.split("/")) for unit in units]

    def written(number: int, unit: tuple[str, ...]) -> Value:
        return tuple(way.replace("#", f"{number}") for way in unit)

    def draw(rng: Random) -> Value:
        return written(rng.randrange(low, high, step), rng.choice(choices))

    def near(rng: Random, value: Value) -> tuple[Value, str]:
        number = int("".join(char for char in value[0] if char.isdigit()))
        return written(number, rng.choice(choices)), "unit"

    return Slot("number", draw, near if len(choices) > 1 else None)


def _digit(kind: str, draw: Maker) -> Slot:
    """A slot whose other value often differs in one digit only."""

    def near(rng: Random, value: Value) -> tuple[Value, str]:
        text = value[0]
        places = [place for place, char in enumerate(text) if char.isdigit()]
        if not places:
            return value, kind
        place = rng.choice(places)
        digit = rng.choice([d for d in "123456789" if d != text[place]])
        return (text[:place] + digit + text[place + 1 :],), kind

    return Slot(kind, draw, near)


def _date(rng: Random) -> Value:
    day, month, year = rng.randint(1, 28), rng.choice(_MONTHS), rng.randint(1950, 2025)
    return f"{day} {month} {year}", f"{month} {day}, {year}", f"{month} {day} {year}"


def _time(rng: Random) -> Value:
    hour, half = rng.randint(1, 12), rng.choice(("am", "pm"))
    return f"{hour} {half}", f"{hour}:00 {half}", f"{hour}{half}"


def _one(*ways: Callable[[Random], str]) -> Maker:
    return lambda rng: (rng.choice(ways)(rng),)


def _of(values: tuple[str, ...] | list[str]) -> Maker:
    return lambda rng: (rng.choice(values),)


def _made() -> dict[str, Slot]:
    """Return the slots whose values are made up."""
    whole = {
        "small": _whole(2, 12), "days": _whole(3, 60), "years": _whole(1, 25),
        "age": _whole(4, 80), "people": _whole(2, 40), "minutes": _whole(10, 90),
        "status": _whole(400, 511),
    }  # fmt: skip
    found = {name: _digit("number", draw) for name, draw in whole.items()}
    return found | {
        "year": _digit("year", lambda rng: (str(rng.randint(1820, 2025)),)),
        "version": _digit("version", _one(
            lambda rng: f"{rng.randint(1, 9)}.{rng.randint(0, 20)}",
            lambda rng: f"{rng.randint(1, 9)}.{rng.randint(0, 20)}.{rng.randint(0, 9)}")),
        "errcode": _digit("identifier", _one(
            lambda rng: f"{rng.choice(_CODES)}{rng.randint(100, 9999)}")),
        "orderid": _digit("identifier", _one(
            lambda rng: f"#{rng.choice('ABDX')}-{rng.randint(1000, 99999)}",
            lambda rng: f"{rng.randint(100000, 999999)}")),
        "path": _digit("path", _one(
            lambda rng: f"{rng.choice(_FOLDERS)}/{rng.choice(_FILES)}.{rng.choice(_ENDINGS)}")),
        "url": _digit("URL", _one(
            lambda rng: f"https://{rng.choice(_HOSTS)}/{rng.choice(_PATHS)}")),
        "email": Slot("e-mail address", _one(
            lambda rng: f"{rng.choice(_BOXES)}@{rng.choice(_HOSTS)}")),
        "command": Slot("code", _of(_COMMANDS)),
        "phrase": Slot("quoted text", _of(_PHRASES)),
        "ordinal": Slot("ordinal", lambda rng: _ordinal(rng.randint(1, 9))),
        "date": _digit("date", _date),
        "time": Slot("time", _time),
        "percent": _measured(2, 40, 1, "# %/#%/# percent"),
        "amount": _measured(20, 900, 10, "$#/# dollars", "€#/# euros", "£#/# pounds"),
        "money": _measured(500, 9000, 100, "$#/# dollars", "€#/# euros", "£#/# pounds"),
        "temperature": _measured(20, 220, 5, "# °C/# degrees Celsius",
                                 "# °F/# degrees Fahrenheit"),
        "speed": _measured(5, 60, 5, "# kph", "# mph"),
        "dose": _measured(5, 900, 5, "# mg/#mg/# milligrams", "# ml/# millilitres", "# g/# grams"),
        "km": _measured(2, 90, 1, "# km/# kilometres/# kilometers", "# miles"),
    }  # fmt: skip


def _ordinal(number: int) -> Value:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number, "th")
    return _NTH[number - 1], f"{number}{ending}"
