"""Curves beside trials: characters for people, numbers for programs."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
from commands import Cli

from hpsearch.api import Trials
from hpsearch.cli.options import Format
from hpsearch.cli.show import wants_curves, with_curves
from hpsearch.reports.tables import BLOCKS, DIGITS


def curves(cli: Cli, *options: str) -> list[str]:
    """The cells below the heading `curve`, and the heading before them."""
    _, heading, *lines = cli("trials", "--curves", *options).out.splitlines()
    at = heading.index("curve")
    return [line[at:] for line in (heading, *lines)]


def test_blocks_in_the_order_of_the_scores(searched: Cli) -> None:
    heading, *drawn = curves(searched, "--top", "8")
    rows = json.loads(searched("trials", "--top", "8", "--curves", "--format", "json").out)
    values = [value for row in rows for value in row["curve"]]
    assert heading == f"curve {min(values):.2g} to {max(values):.2g}"
    assert all(len(cell) == 3 and set(cell) <= set(BLOCKS) for cell in drawn)
    last = [BLOCKS.index(cell[-1]) for cell in drawn]
    assert last == sorted(last, reverse=True)
    assert all(row["curve"][-1] == row["validation_accuracy"] for row in rows)


def test_digits_where_the_output_has_no_blocks(searched: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    assert searched("trials", "--curves").code == 0
    stream.seek(0)
    _, heading, *lines = stream.read().splitlines()
    assert "curve 0 = 0." in heading
    assert all(set(line.split()[-1]) <= set(DIGITS) for line in lines)


def test_nobody_asked_and_nobody_looks(searched: Cli) -> None:
    assert "curve" not in searched("trials").out
    assert "curve" not in searched("trials", "--format", "json").out
    as_csv = list(csv.DictReader(io.StringIO(searched("trials", "--curves", "--format", "csv").out)))
    as_json = json.loads(searched("trials", "--curves", "--format", "json").out)
    assert [list(map(float, row["curve"].split())) for row in as_csv] == [row["curve"] for row in as_json]


def test_one_that_was_stopped_early_is_shorter(cli: Cli, tmp_path: Path) -> None:
    file = tiny.write(tmp_path, training={"epochs": 8}, pruning={"cohort": 12, "reduction_factor": 3, "min_epochs": 2})
    assert cli("start", str(file), "--trials", "12", "--pruner", "halving", "--engine", "inline").code == 0
    assert {len(cell) for cell in curves(cli, "--state", "pruned")[1:]} == {2}
    assert {len(cell) for cell in curves(cli, "--top", "3")[1:]} == {8}


@pytest.mark.parametrize(
    ("asked", "output", "trials", "looks", "read"),
    [
        (None, "table", 500, True, True),
        (None, "table", 501, True, False),
        (None, "table", 5, False, False),
        (None, "json", 5, True, False),
        (True, "json", 100_000, False, True),
        (False, "table", 5, True, False),
    ],
)
def test_when_curves_are_read(
    monkeypatch: pytest.MonkeyPatch, asked: bool | None, output: Format, trials: int, looks: bool, read: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: looks, raising=False)
    assert wants_curves(asked, output, trials) is read


def test_where_there_is_no_room_there_is_no_column(monkeypatch: pytest.MonkeyPatch) -> None:
    stage: Any = type("Stage", (), {"study_file": {"training": {"epochs": 3}}})
    trials = Trials(stage, {}, None, {1: (0.1, 0.5, 0.9)}, {})
    table: dict[str, list[Any]] = {"trial": [1], **{f"parameter {n}": [0.123456] for n in range(8)}}
    monkeypatch.setenv("COLUMNS", "95")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert with_curves(trials, table, "table", requested=None) == table
    assert len(with_curves(trials, table, "table", requested=True)) == len(table) + 1
    monkeypatch.setenv("COLUMNS", "110")
    assert len(with_curves(trials, table, "table", requested=None)) == len(table) + 1
