"""A report as one HTML page that needs nothing else: no script, no font, no picture. Pure."""

from __future__ import annotations

import re
from html import escape

from aegis_llm.bench.changes import Section, Table
from aegis_llm.bench.pictures import PICTURES
from aegis_llm.bench.results import Results
from aegis_llm.bench.telling import how_to_read, sections

_LONG = 60
_UNIT = re.compile(r"(?<=\d) (?=(?:us|ms|s|min|%|MiB|GiB)\b)|(?<=\d) (?=%)")
_CODE = re.compile(r"`([^`]+)`")
_BRACKET = re.compile(r"\([^()]*\)")

_STYLE = """
:root{color-scheme:light dark;--back:#fff;
--text:#1b1f24;--soft:#5b6470;--line:#d9dee4;--alt:#f5f7f9;
--a:#1a66c2;--b:#b4541a;--c:#6b4fa0;--w:#c3cad2;--l:#b8860b;--warn:#b3261e}
@media(prefers-color-scheme:dark){:root{--back:#14171b;--text:#e4e8ec;--soft:#9aa4af;--line:#333a42;
--alt:#1c2126;--a:#6aa9f7;--b:#eb9a5f;--c:#b79df0;--w:#4a535d;--l:#d9b44a;--warn:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:78rem;padding:1rem 1rem 4rem;background:var(--back);color:var(--text);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:1rem 0 .2rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:.4rem 0;max-width:50rem}h1,p{overflow-wrap:anywhere}
.partial{color:var(--warn);font-weight:600}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.6rem 0;font-size:.82rem}
th,td{padding:.3rem .5rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
th{color:var(--soft);font-weight:600}th:first-child,td:first-child,
.words td,.words th{text-align:left}
td:not(:last-child){font-variant-numeric:tabular-nums}tr:nth-child(even) td{background:var(--alt)}
.words td:last-child{min-width:16rem}td:first-child{min-width:5.5rem}
.pictures{display:flex;flex-wrap:wrap;gap:.5rem;overflow-x:auto}
svg{width:100%;height:auto;flex:1 1 20rem}svg.wide{min-width:38rem}
svg text{fill:var(--soft);font:11px system-ui,sans-serif}
svg .t{fill:var(--text);font-weight:600;font-size:12px}svg .g{stroke:var(--line);stroke-width:1}
svg rect.a,svg circle.a{fill:var(--a)}svg rect.b,svg circle.b{fill:var(--b)}
svg rect.c,svg circle.c{fill:var(--c)}svg rect.w{fill:var(--w)}svg rect.l{fill:var(--l)}
svg .dot{fill-opacity:.55}svg line.a,svg polyline.a{stroke:var(--a)}
svg line.b,svg polyline.b{stroke:var(--b)}svg line.c,svg polyline.c{stroke:var(--c)}
svg line.a,svg line.b,svg line.c{stroke-width:1.5;stroke-opacity:.6}
svg polyline{fill:none;stroke-width:2}
@media(max-width:40rem){.why thead{display:none}.why tr,.why td{display:block;min-width:0}
.why td{border:0;padding:.1rem .4rem}.why td:first-child{font-weight:600;padding-top:.6rem}
.why td:nth-child(2)::before{content:"promised: "}.why td:nth-child(3)::before{content:"here: "}}
@media print{body{max-width:none}}
"""


def page(found: Results) -> str:
    """Return the whole page."""
    name = escape(found.model.name)
    body = "".join(_section(one, found) for one in sections(found))
    reading = "".join(f"<p>{escape(said)}</p>" for said in how_to_read())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>aegis-llm bench: {name}</title><style>{_STYLE}</style></head>"
        f"<body><h1>aegis-llm bench: {name}</h1>{body}<h2>How to read this</h2>{reading}"
        "</body></html>\n"
    )


def _section(one: Section, found: Results) -> str:
    made = f"<h2>{escape(one.title)}</h2>"
    for said in one.said:
        partial = ' class="partial"' if said.startswith("PARTIAL") else ""
        made += f"<p{partial}>{_text(said)}</p>"
    if one.picture and (picture := PICTURES[one.picture](found)):
        made += f'<div class="pictures">{picture}</div>'
    return made + "".join(map(_table, one.tables))


def _table(table: Table) -> str:
    words = len(table.head) == 2 or table.head[-1].startswith("why")
    named = ["words"] * words + ["why"] * table.head[-1].startswith("why")
    kind = f' class="{" ".join(named)}"' if named else ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head) if any(table.head) else ""
    rows = "".join(
        "<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<div class="wide"><table{kind}>{top}<tbody>{rows}</tbody></table></div>'


def _cell(text: str) -> str:
    """Return a cell in which no figure is parted from its unit, and no interval in two."""
    whole = _BRACKET.sub(lambda found: found[0].replace(" ", "\xa0"), text)
    whole = whole.replace(" / ", "\xa0/ ")
    return _text(_UNIT.sub("\xa0", whole) if len(text) < _LONG else text)


def _text(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
