"""The page in a real headless Chromium: by keyboard, light and dark, on a phone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_llm.ui.serving import Page
from tests.browsing.kit import entry, store
from tests.ui.chromium import NAMES, Chromium, found
from tests.ui.conftest import Serve

EVIL = "<script>document.title='x'</script><img src='https://evil.example/x' onerror='alert(1)'>"
PATHS = ("/?pause=1", "/entries", "/why", "/try")
TAB, ENTER = ("Tab", 9), ("Enter", 13, "\r")
PHONE, DESKTOP = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def chromium(serve: Serve) -> Iterator[tuple[Chromium, str]]:
    """A browser with the page open, and the page's address."""
    path = found()
    if path is None:
        pytest.skip(f"no Chromium here (looked for {', '.join(NAMES)}): apt install chromium")
    page = serve()
    with Chromium(path) as browser:
        browser.go(page.url)
        yield browser, page.base


@pytest.fixture
def window(
    chromium: tuple[Chromium, str], page: Page, redis_url: str, namespace: str
) -> tuple[Chromium, str]:
    """The browser, with entries to look at."""
    store(redis_url, namespace, *map(entry, range(1, 40)), entry(0, question=EVIL))
    chromium[0].look(width=1280, height=900, dark=False)
    return chromium


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_fits_and_can_be_read(
    window: tuple[Chromium, str], size: tuple[int, int], dark: bool
) -> None:
    browser, base = window
    browser.look(width=size[0], height=size[1], dark=dark)
    one = f"/entries/{entry(0).key}"
    for path in (*PATHS, one, f"/why?entry={entry(0).key}"):
        browser.go(base + path)
        wide = browser.run("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, path
        assert browser.run(CONTRAST) >= 4.5, path
        keep(browser.picture(), path, size, dark=dark)


CONTRAST = """
(() => {
  const light = c => {
    const [r, g, b] = c.match(/[\\d.]+/g).map(v => v / 255).map(
      v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const back = e => {
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$|transparent/.test(c)) return c;
    }
    return 'rgb(255, 255, 255)';
  };
  let least = 21;
  for (const e of document.querySelectorAll('main *, header *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.getClientRects().length) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(back(e))].sort((x, y) => y - x);
    least = Math.min(least, (a + .05) / (b + .05));
  }
  return least;
})()
"""


def keep(picture: bytes, path: str, size: tuple[int, int], *, dark: bool) -> None:
    """Keep a picture where AEGIS_TEST_PICTURES names a folder, for a person to look at."""
    assert picture.startswith(b"\x89PNG")
    if folder := os.environ.get("AEGIS_TEST_PICTURES"):
        name = path.strip("/").partition("?")[0].partition("/")[0] or "overview"
        name += "-one" if path.count("/") > 1 or "entry=" in path else ""
        file = f"{name}-{size[0]}-{'dark' if dark else 'light'}.png"
        Path(folder, file).write_bytes(picture)


def test_light_and_dark_differ(window: tuple[Chromium, str]) -> None:
    browser, base = window
    colours = set()
    for dark in (False, True):
        browser.look(width=1280, height=900, dark=dark)
        browser.go(base + "/try")
        colours.add(browser.run("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


def test_what_is_stored_runs_nothing_and_asks_no_other_machine(
    window: tuple[Chromium, str],
) -> None:
    browser, base = window
    for path in ("/entries", f"/entries/{entry(0).key}", f"/why?entry={entry(0).key}"):
        browser.go(base + path)
        assert EVIL in browser.run("document.querySelector('main').innerText")
        assert browser.run("document.title").endswith("aegis-llm")
        assert browser.run("document.images.length + document.scripts.length") == 0
    asked = {url.split("/")[2] for url in browser.requested if url.startswith("http")}
    assert asked == {base.split("/")[2]}
    assert browser.refused == []  # the page itself asks for nothing that its policy forbids


def test_the_policy_stops_a_script_that_got_in(window: tuple[Chromium, str]) -> None:
    browser, base = window
    browser.go(base + "/try")
    before = len(browser.refused)
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 1';"
        "document.body.append(s)"
    )
    browser.call("Runtime.evaluate", expression="1")
    assert browser.run("window.hacked") is None
    del browser.refused[before:]


def test_a_question_is_tried_by_keyboard_alone(window: tuple[Chromium, str]) -> None:
    browser, base = window
    browser.go(base + "/try")
    stops = []
    while not stops or stops[-1] != "asked":
        browser.key(*TAB)
        stops.append(browser.run("document.activeElement.id || document.activeElement.innerText"))
        assert len(stops) < 12, stops
    assert stops[0] == "Skip to the content"
    browser.type("How can I reset my password?")
    browser.key(*TAB)
    browser.type("How do I reset my password?")
    browser.key(*TAB)
    before = browser.loaded
    browser.key(*ENTER)
    browser.loaded_after(before)
    assert "would be served" in browser.run("document.querySelector('main').innerText")


def test_the_focus_can_be_seen(window: tuple[Chromium, str]) -> None:
    browser, base = window
    browser.go(base + "/entries")
    browser.key(*TAB)
    browser.key(*TAB)
    style = "getComputedStyle(document.activeElement)"
    assert browser.run(f"{style}.outlineStyle") == "solid"
    assert browser.run(f"parseFloat({style}.outlineWidth)") >= 2


def test_an_entry_is_rejected_by_its_form(window: tuple[Chromium, str]) -> None:
    browser, base = window
    path = f"{base}/entries/{entry(5).key}"
    browser.go(path)
    assert (
        browser.run("document.querySelector('form[action$=reject] button').checkVisibility()")
        is False
    )
    browser.run("document.querySelector('form[action$=reject] summary').click()")
    browser.click("form[action$=reject] button")
    assert "is removed" in browser.run("document.querySelector('main').innerText")
    browser.go(path)
    assert "no such entry" in browser.run("document.querySelector('main').innerText")


def test_a_page_of_another_site_changes_nothing(
    window: tuple[Chromium, str], tmp_path: Path
) -> None:
    browser, base = window
    action = f"{base}/entries/{entry(7).key}/reject"
    attack = tmp_path / "attack.html"
    attack.write_text(f"<form method=post action='{action}'></form><h1>hello</h1>")
    browser.go(attack.as_uri())
    before = browser.loaded
    browser.run("document.forms[0].submit()")
    browser.loaded_after(before)
    assert "may not do that" in browser.run("document.body.innerText")
    browser.go(f"{base}/entries/{entry(7).key}")
    assert "part 7" in browser.run("document.querySelector('main').innerText")
    del browser.refused[:]
    browser.requested[:] = [url for url in browser.requested if not url.startswith("file:")]
