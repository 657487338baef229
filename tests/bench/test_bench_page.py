"""The page of a bench in a real browser: it asks for nothing, and fits a phone and a desk."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_llm.bench.page import page
from aegis_llm.bench.plan import phases_of, prompt_length
from aegis_llm.bench.results import results
from aegis_llm.bench.values import Machine, Model, Recorded, Sample, Sent, Settings
from tests.ui.chromium import Chromium, found

SETTINGS = Settings(
    model="<img src=http://example.invalid/x>:1b", rounds=4, ways=("around", "through")
)

CUT = """[...document.querySelectorAll('svg')].filter(s =>
  [...s.querySelectorAll('text')].some(t => {
    const a = t.getBBox(), b = s.viewBox.baseVal;
    return a.x < 0 || a.y < 0 || a.x + a.width > b.width + 1 || a.y + a.height > b.height + 1;
  })).map(s => s.ariaLabel).join()"""
LEAST = """Math.min(...[...document.querySelectorAll('svg')].map(s =>
  11 * s.getBoundingClientRect().width / s.viewBox.baseVal.width))"""


def written(folder: Path) -> str:
    recorded = Recorded(settings=SETTINGS, phases=phases_of(SETTINGS))
    recorded.model = Model(name=SETTINGS.model)
    recorded.machine = Machine(url="http://ollama:11434", gpus=("NVIDIA GB10",))
    recorded.notes.append("</p><script src='http://example.invalid/y'></script>")
    at = 0.0
    for place, phase in enumerate(recorded.phases):
        for turn in range(SETTINGS.rounds):
            for n in range(phase.requests):
                outcome = (
                    "" if phase.way == "around" else ("miss", "hit_exact", "hit_semantic")[n % 3]
                )
                took = 0.002 if outcome.startswith("hit") else 1.5 + 0.1 * (n % 5)
                recorded.sent.append(
                    Sent(place, turn, n, at, took / 4, took, took, prompt_length(phase, n), 60,
                         took, 0.002, took / 5, took / 2, label="cold", outcome=outcome)
                )  # fmt: skip
            at += 4.0
    recorded.samples += [
        Sample(at=float(n), when="load", model=5 << 30, host=(20 + n) << 30) for n in range(9)
    ]
    path = folder / "now.html"
    path.write_text(page(results(recorded)))
    return path.as_uri()


def test_the_page_asks_for_nothing_and_fits_every_width(tmp_path: Path) -> None:
    browser = found()
    if browser is None:
        pytest.skip("needs Chromium")
    address = written(tmp_path)
    with Chromium(browser) as window:
        for width, dark in ((1280, False), (390, True)):
            window.look(width=width, height=800, dark=dark)
            window.go(address)
            assert window.run("document.documentElement.scrollWidth") <= width
            assert window.run("document.querySelectorAll('svg').length") == 5
            assert window.run(CUT) == ""  # no text of a picture is cut
            assert window.run(LEAST) >= 7  # pixels of the letters
        assert set(window.requested) == {address}
        assert window.refused == []
