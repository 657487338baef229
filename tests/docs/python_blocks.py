"""Runs the Python blocks of a page, one after the other, with shared names."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from tests.docs.blocks import Block

Factory = Callable[[], Any]
_TOLD = re.compile(r"#\s*-> (?P<text>.+?)(?:\s{2,}.*)?$")


def run(blocks: list[Block], names: Mapping[str, Factory], edit: Callable[[str], str]) -> None:
    """Run blocks; what they only name (`chain`, `retriever`, ...) is made by `names`.

    A line that ends in `# -> VALUE` is compared with what its expression is: `...` in the value
    stands for anything, and two blanks end it.
    """
    space: dict[str, Any] = {}
    for block in blocks:
        if block.fresh:
            space = {}
        if block.not_run:
            compile(block.code, block.where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            continue
        told: dict[int, Any] = {}
        code, expected = _compiled(block, edit(block.code))
        missing = _read(block) - space.keys()
        space.update({name: names[name]() for name in sorted(missing & names.keys())})
        space.setdefault("__name__", "documentation")
        space["_told"] = told.__setitem__
        ran = eval(code, space)  # noqa: S307 - the documentation's own code
        if inspect.iscoroutine(ran):
            asyncio.run(ran)
        for line, text in expected.items():
            assert _same(told[line], text), f"{block.page}:{line} is {told[line]!r}"


def _compiled(block: Block, source: str) -> tuple[CodeType, dict[int, str]]:
    """Return the code, with the lines of the page, and what some lines say that they give."""
    tree = ast.parse("\n" * (block.line - 1) + source)
    lines = source.splitlines()
    expected: dict[int, str] = {}
    for parent in ast.walk(tree):
        if not isinstance(parent, ast.Expr) or parent.end_lineno is None:
            continue
        line = parent.end_lineno
        said = _TOLD.search(lines[line - block.line])
        if said is not None:
            expected[line] = said["text"]
            call = ast.Call(ast.Name("_told", ast.Load()), [ast.Constant(line), parent.value], [])
            parent.value = ast.copy_location(call, parent.value)
    ast.fix_missing_locations(tree)
    code = compile(tree, block.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code, expected


def _read(block: Block) -> set[str]:
    """Return the names that a block reads before it gives them a value, wherever that is."""
    given: set[str] = set()
    read: set[str] = set()
    tree = ast.parse(block.code)
    for statement in tree.body:
        nodes = list(ast.walk(statement))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        read |= {n.id for n in names if isinstance(n.ctx, ast.Load)} - given
        given |= {n.id for n in names if isinstance(n.ctx, ast.Store)}
        given |= {
            (alias.asname or alias.name).partition(".")[0]
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        given |= {
            node.name
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
    return read


def _same(value: Any, text: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in text.split("..."))
    return any(re.fullmatch(pattern, shown, re.DOTALL) for shown in (repr(value), str(value)))
