"""`hpsearch refine` and the epochs of a stage: what they print and refuse, and what other commands make of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import START, Cli

from hpsearch.search import refinement

REFINE = "refine --trials 4 --batch 2 --engine inline"


def test_a_refinement_is_shown_as_what_it_is_and_exported(searched: Cli) -> None:
    out = searched.ok(REFINE)
    assert "tiny/stage-02 has 4 finished trials; 4 of them now" in out
    first, second = searched.json("status")
    assert (first["refinement"], second["refinement"]) == (None, {"sampler": "surrogate", "batch": 2})
    assert (second["from"], second["pruning"]) == ("stage-01", "none")
    assert "stage-01 (refined)" in searched.ok("status")
    assert "refined by surrogate, in batches of 2" in searched.ok("report --format md --out -")
    lines = searched.ok("checklist").splitlines()
    assert lines[0].endswith("/stage-01")
    assert "narrow" not in lines[-1]
    searched.ok("plot budget")
    assert Path("tiny-stage-01-budget.html").exists()
    values = searched.csv("trials --stage 2")
    searched.ok("export --out all.json")
    searched.ok("import all.json --storage copy.db")
    copied = searched.csv("trials tiny --stage 2 --storage copy.db")
    assert [row["lr"] for row in copied] == [row["lr"] for row in values]
    assert searched.json("status --storage copy.db")[1]["refinement"] == {"sampler": "surrogate", "batch": 2}
    assert "sound" in searched.ok("db check --storage copy.db")


def test_refusals_are_one_line(searched: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refinement, "find_spec", lambda name: None)
    missing = "the sampler gp needs torch and scipy; pip install 'hpsearch[gp]', or use --sampler surrogate"
    searched.refused(f"{REFINE} --sampler gp", says=missing)
    searched.refused(f"{REFINE} --sampler cma", says="--sampler cma: no such sampler; known: gp, surrogate, tpe")
    searched.refused("refine --trials 0", says="--trials 0: give a number from 1")
    searched.refused(f"{START} --epochs 4", says="--epochs 4: tiny/stage-01 was begun with 3 epochs")
    assert len(searched.json("status")) == 1


def test_epochs_are_named_where_they_differ(searched: Cli) -> None:
    assert "epochs" not in searched.ok("status").splitlines()[0]
    words = "trials of the next stage have 5 epochs, those of tiny/stage-01 3: the scores do not compare"
    assert words in searched.ok("narrow --top 4 --epochs 5 --dry-run")
    assert words in searched.json("narrow --top 4 --epochs 5")["remarks"]
    assert "tiny/stage-02: 2 trials of 5 epochs, " in searched(f"{START} --trials 2").err
    assert "epochs" in searched.ok("status").splitlines()[0]
    assert [row["epochs"] for row in searched.json("status")] == [3, 5]


def test_start_without_a_name_goes_on_with_the_only_search(searched: Cli) -> None:
    searched.ok("start --trials 9 --engine inline")
    (row,) = searched.json("status")
    assert (row["stage"], row["finished"]) == ("tiny/stage-01", 9)
