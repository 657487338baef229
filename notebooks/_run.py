"""Runs the notebooks, each in a clean kernel, and keeps their pictures.

`python notebooks/_run.py FOLDER` writes each picture as FOLDER/NAME.png. Notebooks stay as they
are: they are kept without outputs.
"""

from __future__ import annotations

import asyncio
import base64
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

HERE = Path(__file__).parent
NOTEBOOKS = sorted(HERE.glob("[0-9]*.ipynb"))
_LONGEST_S = 300


def run(
    path: Path, more: str = "", environment: Mapping[str, str] = os.environ
) -> nbformat.NotebookNode:
    """Return the notebook with its outputs; `more` is code to run as its last cell.

    Raises:
        CellExecutionError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    if more:
        notebook.cells.append(nbformat.v4.new_code_cell(more))
    place = {"metadata": {"path": str(HERE)}}
    with tempfile.TemporaryDirectory() as folder:
        # Through a socket in a private folder: over TCP others on the machine could join in.
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})
        client = NotebookClient(notebook, config=config, timeout=_LONGEST_S, resources=place)
        # `execute` would leave its event loop open.
        asyncio.run(client.async_execute(env=dict(environment)))
    return notebook


def printed(notebook: nbformat.NotebookNode) -> str:
    """Return all that the cells printed."""
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    return "".join(one.text for one in outputs if one.output_type == "stream")


def pictures(notebook: nbformat.NotebookNode) -> list[bytes]:
    """Return the pictures of a notebook that was run, as PNG."""
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    found = [one.data["image/png"] for one in outputs if "image/png" in one.get("data", ())]
    return [base64.b64decode(one) for one in found]


def main(folder: Path) -> None:
    """Run all and write their pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in NOTEBOOKS:
        notebook = run(path)
        print(f"{path.name}\n{printed(notebook)}")
        for picture in pictures(notebook):
            (folder / f"{path.stem}.png").write_bytes(picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
