"""The dashboard and the alerts, read by a real Prometheus and by Grafana's published types.

`promtool` comes with Prometheus (Debian: `apt install prometheus`). Grafana's types are those of
grafana-foundation-sdk; its JSON schemas are stricter about values, and are in its repository:
AEGIS_GRAFANA_SCHEMA names its folder `jsonschema`.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from aegis_llm.metrics import snapshot
from aegis_llm.metrics.families import families

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    (f"{panel['title']} {target['refId']}", target["expr"])
    for panel in PANELS
    for target in panel["targets"]
]
SCHEMAS = os.environ.get("AEGIS_GRAFANA_SCHEMA", "")
needs_schemas = pytest.mark.skipif(not SCHEMAS, reason="AEGIS_GRAFANA_SCHEMA is not set")


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not here (Debian: apt install prometheus)")
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=FOLDER, check=False)


def filled(query: str) -> str:
    """Return a query with Grafana's variables filled in."""
    for name, value in (("$__rate_interval", "5m"), ("$__range", "6h"), ("$job", "a|b"),
                        ("$instance", ".*")):  # fmt: skip
        query = query.replace(name, value)
    assert "$" not in query
    return query


def test_every_query_is_parsed_by_prometheus(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"q:{n}", "expr": filled(query)} for n, (_, query) in enumerate(QUERIES)]
    file = tmp_path / "queries.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = run(promtool, "check", "rules", str(file))
    assert done.returncode == 0, done.stderr
    assert f"{len(QUERIES)} rules found" in done.stdout


def test_what_is_no_query_is_refused_by_prometheus(promtool: str, tmp_path: Path) -> None:
    file = tmp_path / "queries.json"
    file.write_text('{"groups": [{"name": "q", "rules": [{"record": "q", "expr": "sum(("}]}]}')
    assert run(promtool, "check", "rules", str(file)).returncode


def test_the_alerts_are_valid_and_fire_when_they_should(promtool: str) -> None:
    cases = sorted(file.name for file in FOLDER.glob("*.test.yml"))
    tested = "".join((FOLDER / case).read_text() for case in cases)
    alerts = re.findall(r"- alert: (\w+)", (FOLDER / "alerts.yml").read_text())
    assert [name for name in alerts if f"alertname: {name}" not in tested] == []
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", *cases]):
        done = run(promtool, *command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_that_is_asked_for_exists_with_its_labels() -> None:
    known: dict[str, set[str]] = {}
    for family in families(snapshot()):
        labels = {*family.labels, "job", "instance"}
        for suffix in {"counter": ["_total"], "histogram": ["_bucket"]}.get(family.kind, [""]):
            known[family.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    asked = [query for _, query in QUERIES] + [(FOLDER / "alerts.yml").read_text()]
    used = set()
    for query in asked:
        for name, selector in re.findall(r"\b(aegis_\w+)(?:\{([^}]*)\})?", query):
            used.add(name)
            assert set(re.findall(r"(\w+)=~?\"", selector)) <= known[name]
    assert used == set(known)  # nothing is measured that nobody shows


def test_panels_have_a_place_of_their_own_and_say_what_they_show() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["description"] and panel["title"] for panel in PANELS)


def read_by_grafana(dashboard: dict[str, Any]) -> Any:
    """Return the dashboard as Grafana's own types read it and write it again."""
    needed = "grafana-foundation-sdk is not here (it belongs to the group `test`)"
    sdk = "grafana_foundation_sdk"
    types = pytest.importorskip(f"{sdk}.models.dashboard", reason=needed)
    pytest.importorskip(f"{sdk}.cog.plugins").register_default_plugins()
    encoder = pytest.importorskip(f"{sdk}.cog.encoder").JSONEncoder()
    return json.loads(encoder.encode(types.Dashboard.from_json(copy.deepcopy(dashboard))))


def lost(given: Any, read: Any, place: str = "") -> Iterator[str]:
    """Yield the places of what was read otherwise than it was given, or not at all."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name, value in given.items():
            yield from lost(value, read.get(name), f"{place}/{name}")
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for number, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from lost(one, other, f"{place}/{number}")
    elif given != read:
        yield place


def test_grafanas_own_types_read_the_whole_dashboard() -> None:
    missing = [*lost(DASHBOARD, read_by_grafana(DASHBOARD))]
    # What an editor of variables shows of a query; Grafana writes it, its types leave it out.
    assert missing == ["/templating/list/1/definition", "/templating/list/2/definition"]


def test_a_field_that_grafana_does_not_know_is_seen() -> None:
    wrong = copy.deepcopy(DASHBOARD)
    wrong["panels"][1]["fieldConfig"]["defaults"]["unitt"] = "percent"
    wrong["panels"][1]["options"]["colourMode"] = "value"
    found = [*lost(wrong, read_by_grafana(wrong))]
    assert {"/panels/1/fieldConfig/defaults/unitt", "/panels/1/options/colourMode"} <= {*found}


@needs_schemas
def test_the_dashboard_fits_grafanas_published_schema() -> None:
    problems = list(_validator("dashboard", "Dashboard").iter_errors(DASHBOARD))
    assert [problem.message for problem in problems] == []


@needs_schemas
def test_what_panels_hold_fits_the_schemas_of_their_plugins() -> None:
    for panel in PANELS:
        _validator(panel["type"], "Options").validate(panel["options"])
        for target in panel["targets"]:
            _validator("prometheus", "Dataquery").validate(target)
        if custom := panel["fieldConfig"]["defaults"].get("custom"):
            _validator(panel["type"], "FieldConfig").validate(custom)


def _validator(kind: str, name: str) -> jsonschema.Draft7Validator:
    schema = json.loads((Path(SCHEMAS) / f"{kind}.jsonschema.json").read_text())
    found = next(known for known in schema["definitions"] if known.lower() == name.lower())
    return jsonschema.Draft7Validator({**schema, "$ref": f"#/definitions/{found}"})
