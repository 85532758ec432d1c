"""Exports that were damaged on the way: one line, and nothing is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Cli

Damage = Callable[[str], str]


def swapped(old: str, new: str) -> Damage:
    def damage(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, 1)

    return damage


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[: len(text) // 2], "no JSON, or is cut off"),
        (lambda text: "", "no JSON"),
        (lambda text: "[]", "no JSON object"),
        (lambda text: "[" * 100_000, "no JSON"),
        (lambda text: '{"a": 1}', "no export of hpsearch"),
        (swapped('"hpsearch_export": 1', '"hpsearch_export": 2'), "a newer version wrote it"),
        (swapped('"search": "reise"', '"search": "../reise"'), "is not a name for a search"),
        (swapped('"low": 1e-06', '"low": 5'), "is not below"),
        (swapped('"low": 1e-06', '"low": "x"'), "not a finite number"),
        (swapped('"direction": "maximize"', '"direction": "up"'), "stages.0.direction"),
        (swapped('"seed": ', '"seed": -'), "stages.0.seed"),
        (swapped('"trials": 31', '"trials": 30'), "missing or there twice"),
        (swapped('"COMPLETE", "COMPLETE"', '"COMPLETE"'), "differ in length"),
        (swapped('"COMPLETE", "COMPLETE"', '"COMPLETE", "WON"'), "'WON'"),
        (swapped('"COMPLETE", "COMPLETE"', '"COMPLETE", 7'), "holds 7"),
        (swapped('"FAIL"', '"COMPLETE"'), "has no score"),
        (swapped('"trial": [0, 1', '"trial": [0, 0'), "missing or there twice"),
        (swapped('"trial": [0, 1', '"trial": [0, null'), "has no number"),
        (swapped('"params_lr": [', '"params_lr": [[], '), "damaged"),
        (swapped('"epoch": [1, 2', '"epoch": [1, 1'), "an epoch twice"),
        (swapped('"epoch": [1, 2', '"epoch": [1, 99999999999'), "no whole number"),
        (swapped("reise/stage-02", "reise/stage-09"), "does not describe"),
        (swapped("2026-01-02", "2026-99-02"), "damaged"),
    ],
)
def test_a_damaged_export_is_one_line_and_nothing_written(cli_exports: Cli, damage: Damage, says: str) -> None:
    file = Path("r.json")
    file.write_text(damage(file.read_text("utf-8")), "utf-8")
    ran = cli_exports("import", "r.json", "--storage", "new.db")
    assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, ""), ran
    assert says in ran.err
    assert not os.path.exists("new.db")


@pytest.mark.parametrize("name", ["r.trials.csv", "r.curves.csv", "r.trials.parquet", "r.curves.parquet"])
@pytest.mark.parametrize("how", ["cut", "changed", "emptied", "of another export"])
def test_a_damaged_table_is_one_line_and_nothing_written(cli_exports: Cli, name: str, how: str) -> None:
    form = name.rpartition(".")[2]
    file = Path(name)
    content = file.read_bytes()
    if how == "of another export":
        file.write_bytes(Path(name.replace("r.", "o.", 1)).read_bytes())
        if name == "r.trials.parquet":
            return  # the file is whole, and stands for itself
    else:
        file.write_bytes({"cut": content[:-100], "changed": content[:50] + b"\xff" + content[51:], "emptied": b""}[how])
    ran = cli_exports("import", f"r.{form}", "--storage", "new.db")
    assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, ""), ran
    assert not os.path.exists("new.db")
