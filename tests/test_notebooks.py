"""The notebooks as they are stored: executed in order, whole, and readable without running anything.

``.ci/run`` executes them anew.
"""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    """A notebook's cells of one kind, with their sources as one text."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    assert plain["nbformat"] == 4
    return [{**cell, "source": "".join(cell["source"])} for cell in plain["cells"] if cell["cell_type"] == kind]


def outputs(path: Path) -> list[dict[str, Any]]:
    """All outputs of a notebook, in order."""
    return [output for cell in cells(path, "code") for output in cell["outputs"]]


def test_there_are_six() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_was_executed_in_order_without_an_error_or_a_warning(path: Path) -> None:
    counts = [cell["execution_count"] for cell in cells(path, "code")]
    assert counts == list(range(1, len(counts) + 1))
    assert not [output for output in outputs(path) if output["output_type"] == "error"]
    assert not [output for output in outputs(path) if output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_everything_that_it_imports_from_hpsearch_is_there(path: Path) -> None:
    code = "\n".join(cell["source"] for cell in cells(path, "code"))
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    own = [
        (node.module, alias.name)
        for node in imports
        if (node.module or "").startswith("hpsearch")
        for alias in node.names
    ]
    assert own
    for module, name in own:
        assert module
        assert hasattr(import_module(module), name) or import_module(f"{module}.{name}")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_opens_in_korean_with_a_question_and_closes_with_a_measured_answer(path: Path) -> None:
    first, *_, last = cells(path, "markdown")
    assert re.search("[가-힣]", first["source"].splitlines()[0])
    assert "**Question" in "".join(cell["source"] for cell in cells(path, "markdown")[:2])
    assert "Answer" in last["source"]
    answers = [output for output in outputs(path) if "text/markdown" in output.get("data", {})]
    assert re.search(r"\d", "".join(answers[-1]["data"]["text/markdown"]))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_figures_are_images_with_alternative_texts(path: Path) -> None:
    images = [output for output in outputs(path) if "image/png" in output.get("data", {})]
    assert images
    assert all(len(image["metadata"]["image/png"]["alt"]) > 10 for image in images)
    assert "matplotlib" not in "".join(cell["source"] for cell in cells(path, "code"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_names_no_place_of_the_machine_that_ran_it(path: Path) -> None:
    shown = [json.dumps({k: v for k, v in o.get("data", o).items() if k != "image/png"}) for o in outputs(path)]
    assert not re.search(r"/(tmp|home|root|work|usr)/", "".join(shown))
