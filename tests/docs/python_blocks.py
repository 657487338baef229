"""Runs the Python blocks of a page, one after the other, with shared names."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Callable, Mapping
from types import CodeType, ModuleType
from typing import Any, TypeGuard

from tests.docs.blocks import Block

Factory = Callable[[], Any]
_TOLD = re.compile(r"#\s*-> (?P<text>.+?)(?:\s{2,}.*)?$")


class Session:
    """Runs blocks with shared names; what they only name (`chain`, ...) is made by `names`.

    A line that ends in `# -> VALUE` is compared with what its expression is: `...` in the value
    stands for anything, and two blanks end it. Of `print(...)` it is what is printed.
    """

    def __init__(self, names: Mapping[str, Factory], edit: Callable[[str], str]) -> None:
        self._names = names
        self._edit = edit
        self.module = ModuleType("documentation")

    def close(self) -> None:
        """Forget all names: what they hold can then be closed and collected."""
        self.module.__dict__.clear()

    def run(self, block: Block) -> None:
        """Run one block, or only read it when it says that it cannot run."""
        if block.not_run:
            compile(block.code, block.where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            return
        space = self.module.__dict__
        if block.fresh:
            for name in [name for name in space if not name.startswith("__")]:
                del space[name]
        told: dict[int, Any] = {}
        code, expected = _compiled(block, self._edit(block.code))
        missing = (_read(block) - space.keys()) & self._names.keys()
        space.update({name: self._names[name]() for name in sorted(missing)})

        def noted(line: int, value: Any) -> Any:
            told[line] = value
            return value

        space["_told"] = noted
        ran = eval(code, space)
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
            value = parent.value
            shown = value if _prints_one(value) else None  # what it prints is what is meant
            told = shown.args[0] if shown else value
            call = ast.copy_location(
                ast.Call(ast.Name("_told", ast.Load()), [ast.Constant(line), told], []), told
            )
            if shown:
                shown.args[0] = call
            else:
                parent.value = call
    said = {n for n, text in enumerate(lines, block.line) if _TOLD.search(text)}
    assert said == expected.keys(), f"{block.where}: `# ->` stands behind what is no expression"
    ast.fix_missing_locations(tree)
    code = compile(tree, block.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code, expected


def _prints_one(value: ast.expr) -> TypeGuard[ast.Call]:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id == "print"
        and len(value.args) == 1
    )


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
