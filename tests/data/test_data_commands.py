from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from click.testing import CliRunner
from data_files import refused, write_part

from hpsearch.cli.data import data
from hpsearch.data import KNOWN


def run(*arguments: str) -> str:
    result = CliRunner().invoke(data, list(arguments), catch_exceptions=True)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_list(tmp_path: Path) -> None:
    write_part(tmp_path / "mnist")
    rows = json.loads(run("list", "--format", "json", "--data-dir", str(tmp_path)))
    by_name = {row["name"]: row for row in rows}
    assert [name for name in KNOWN if not by_name[name]["here"]] == ["fashion-mnist"]
    assert by_name["mnist"]["where"] == str(tmp_path / "mnist")
    assert by_name["mnist-10k"]["images"] == 10_000
    assert "hpsearch data fetch fashion-mnist" in by_name["fashion-mnist"]["where"]
    printed = list(csv.DictReader(io.StringIO(run("list", "--format", "csv"))))
    assert [row["name"] for row in printed] == list(KNOWN)
    table = run("list")
    assert all(name in table for name in KNOWN)


def test_show_a_name() -> None:
    out = run("show", "mnist-10k")
    assert "10,000 examples, each of shape 28x28, uint8" in out
    assert "10 classes" in out
    rows = json.loads(run("show", "mnist-10k", "--format", "json"))
    assert rows[1] == {"class": "1", "examples": 1127, "test_examples": 0}


def test_show_a_path(tmp_path: Path) -> None:
    write_part(tmp_path)
    write_part(tmp_path, "t10k", n=4)
    assert "20 examples and 4 of its own test part, each of shape 3x2" in run("show", str(tmp_path))
    table = tmp_path / "some.csv"
    table.write_text("a,kind\n1,[red]\n2,blue\n")
    out = run("show", str(table), "--label", "kind")
    assert "[red]" in out
    assert "2 classes" in out


def test_a_word_without_an_ending_is_a_name() -> None:
    refused(lambda: run("show", "mnist-10"), "did you mean 'mnist-10k'")
    refused(lambda: run("show", "none.npz"), "cannot read none.npz")
