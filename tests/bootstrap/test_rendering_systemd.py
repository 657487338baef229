"""Units and drop-ins of others are read as systemd reads them."""

from __future__ import annotations

import pytest

from aegis_llm.bootstrap.rendering import parse, render


@pytest.mark.parametrize(
    ("line", "environment"),
    [
        ("Environment=A=1 B=2", {"A": "1", "B": "2"}),
        ('Environment="A=1 2" B=3', {"A": "1 2", "B": "3"}),
        ("Environment='A=1 2' \"B=it's\"", {"A": "1 2", "B": "it's"}),
        ('Environment=A="b c"', {"A": "b c"}),
        ("Environment = A=%%d", {"A": "%d"}),
        ("Environment=A=$HOME", {"A": "$HOME"}),
        (r'Environment="A=a\"b\\c\x41\u00e4\101\s"', {"A": 'a"b\\cAäA '}),
        (r'Environment="B=1" "A=a\qb" C=1', {"B": "1"}),
        ("Environment=A=1 \\\n# between\n  B=2", {"A": "1", "B": "2"}),
        ("Environment=A=1\nEnvironment=\nEnvironment=B=2", {"B": "2"}),
        ("Environment=A=1\nEnvironment=A=2", {"A": "2"}),
        ("#Environment=A=1\n;Environment=B=1", {}),
        ("Environment=A=", {"A": ""}),
        ("Environment=A", {}),
        ('Environment="A=1', {}),
        ("[Unit]\nEnvironment=A=1", {}),
        ("[Unit]\n[Service]\nEnvironment=A=1", {"A": "1"}),
    ],
)
def test_what_a_unit_sets(line: str, environment: dict[str, str]) -> None:
    assert parse("[Service]\n" + line + "\n", "systemd") == environment


def test_a_drop_in_is_the_same_each_time_and_ends_with_a_line() -> None:
    text = render({"A": "1", "B": "%"}, "systemd", reasons={"A": "Why."})
    assert text == render({"A": "1", "B": "%"}, "systemd", reasons={"A": "Why."})
    assert text.splitlines()[2:] == [
        "[Service]", "# Why.", 'Environment="A=1"', 'Environment="B=%%"',
    ]  # fmt: skip
    assert text.endswith('"\n')
