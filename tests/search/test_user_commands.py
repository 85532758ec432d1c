"""Whole stages of a user's command: the same for any engine and after a stop, and what failures leave."""

from __future__ import annotations

import json
from pathlib import Path

import optuna

from hpsearch.records import ENDED, OUTPUT, REASON, SECONDS
from hpsearch.search.workflow import Job, run

TRIALS = 24
SCRIPT = """
BEGIN {
    if (m == "") m = 0
    for (i = 1; i <= 8; i++) printf "{\\"score\\": %.12f, \\"step\\": %d}\\n", x + m / i, i
    if (x < 0.1) { print "too far" > "/dev/stderr"; exit 3 }
    printf "{\\"score\\": %.12f, \\"half\\": %.12f}\\n", x, x / 2
}
"""
STUDY = f"""
name = "mine"
constraints = ["x <= 0.95"]
[objective]
command = ["awk", "-vx={{x}}", "-vm={{m}}", {json.dumps(SCRIPT)}]
direction = "minimize"
epochs = 8
[space]
x = {{ low = 0.0, high = 1.0 }}
kind = {{ choices = ["a", "b"] }}
m = {{ low = 0.0, high = 1.0, when = {{ kind = ["a"] }} }}
[trials]
count = {TRIALS}
sampler = "random"
[pruning]
rule = "halving"
cohort = 12
reduction_factor = 2
"""


def trials_of(folder: Path, *counts: int, **options: object) -> list[optuna.trial.FrozenTrial]:
    (folder / "mine.toml").write_text(STUDY)
    storage = folder / f"{options['engine']}.db"
    for count in counts:
        run(Job(storage=str(storage), study=str(folder / "mine.toml"), trials=count, **options))  # type: ignore[arg-type]
    return optuna.load_study(study_name="mine/stage-01", storage=f"sqlite:///{storage}").trials


def facts(trial: optuna.trial.FrozenTrial) -> tuple[object, ...]:
    attributes = {key: value for key, value in trial.user_attrs.items() if key != SECONDS}
    return trial.number, trial.state.name, trial.value, trial.params, trial.intermediate_values, attributes


def test_a_stage_is_the_same_for_any_engine_and_after_a_stop(tmp_path: Path) -> None:
    inline = trials_of(tmp_path, TRIALS, engine="inline")
    pool = trials_of(tmp_path, 12, TRIALS, engine="pool", jobs=2)
    assert list(map(facts, inline)) == list(map(facts, pool))
    assert {trial.state.name for trial in inline} == {"COMPLETE", "PRUNED", "FAIL"}
    for trial in inline:
        if trial.state.name == "COMPLETE":
            assert abs((trial.value or 0.0) - trial.params["x"]) < 1e-11
            assert trial.user_attrs["metrics"] == {"half": trial.user_attrs["metrics"]["half"]}
            assert len(trial.intermediate_values) == 8
        elif trial.state.name == "FAIL":
            assert trial.user_attrs[REASON] == "exit code 3: too far"
            assert trial.user_attrs[ENDED] == "exit"
            assert trial.user_attrs[OUTPUT].endswith("}\ntoo far\n")
        assert ("m" in trial.params) == (trial.params["kind"] == "a")
