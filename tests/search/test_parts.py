"""Narrowing with scientific parameters: each of their values as if it were searched alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import made_stages
import numpy as np
import pytest

from hpsearch.errors import BadArgument, NotEnoughTrials
from hpsearch.records import NewStage
from hpsearch.reports.tables import trials_table
from hpsearch.samplers import sampler_of
from hpsearch.search.narrowing import analyse_ranges, check_top, narrow_stage
from hpsearch.search.parts import parts_of
from hpsearch.space import Categorical, Float, Space, Value, check_conditions, delivered
from hpsearch.store import Counts, Store

SPACE: Space = {
    "lr": Float(1e-5, 1.0, log=True),
    "optimizer": Categorical(("sgd", "adam"), role="scientific"),
    "momentum": Float(0.1, 0.99, when={"optimizer": ("sgd",)}),
    "schedule": Categorical(("step", "none")),
    "decay": Float(0.1, 1.0, when={"schedule": ("step",)}),
}
BEST = {"sgd": -1.5, "adam": -3.5}


def accuracy(number: int, params: Mapping[str, Value]) -> float:
    """The best rate depends on the optimizer."""
    values = delivered(SPACE, params) if "lr" in params else {k.partition("[")[0]: v for k, v in params.items()}
    distance = np.log10(made_stages.as_number(values["lr"])) - BEST[str(values["optimizer"])]
    return float(np.clip(0.9 - 0.05 * distance**2, 0.1, 0.9))


def test_each_value_is_narrowed_as_if_it_were_searched_alone(store: Store) -> None:
    stage = made_stages.make(store, accuracy, space=SPACE)
    narrowing = analyse_ranges(store, [stage], stage, top=5)
    assert list(narrowing.space) == [
        *("lr[sgd]", "lr[adam]", "optimizer", "momentum", "schedule[sgd]", "schedule[adam]"),
        *("decay[sgd]", "decay[adam]"),
    ]
    check_conditions(narrowing.space)
    assert narrowing.space["optimizer"] == SPACE["optimizer"]
    assert narrowing.space["decay[adam]"].when == {"schedule[adam]": ("step",), "optimizer": ("adam",)}
    columns = store.scores(stage)
    for part in parts_of(stage):
        value = str(part.combination["optimizer"])
        mask = columns["param:optimizer"] == value
        best = columns["param:lr"][mask][np.argsort(-columns["score"][mask], kind="stable")][:5]
        made = narrowing.ranges[f"lr[{value}]"]
        assert isinstance(made.after, Float)
        assert made.after.low <= best.min() <= best.max() <= made.after.high
        assert np.log10(made.after.low) < BEST[value] < np.log10(made.after.high)
        assert (made.top, made.before) == (5, SPACE["lr"])


def test_the_next_stages_keep_the_names_and_the_trials_of_each_value(store: Store) -> None:
    first = made_stages.make(store, accuracy, space=SPACE)
    made = narrow_stage(store, [first], top=5)
    assert made.stage is not None
    second = made_stages.make(store, accuracy, space=made.stage.space, number=2)
    third = narrow_stage(store, [first, second], top=5, dry_run=True).narrowing
    assert list(third.space) == list(second.space)
    for name, parameter in third.space.items():
        assert parameter.when == second.space[name].when
    of = NewStage("s", 3, "maximize", 5, third.space, {})
    trials = [sampler_of(of).params(of, number) for number in range(20)]
    assert [trial["optimizer"] for trial in trials].count("sgd") == 10
    for trial in trials:
        assert ("lr[sgd]" in trial, "momentum" in trial) == (trial["optimizer"] == "sgd",) * 2
        assert {"lr", "optimizer", "schedule"} <= set(delivered(of.space, trial))
    # People see one column of each, beside the optimizer.
    assert {"lr", "optimizer", "decay"} < set(trials_table(second, store.columns(second, top=3)))


def test_what_only_some_values_use_is_left_out_for_the_others(store: Store) -> None:
    """The built-in network knows itself that Adam has no momentum."""
    space: Space = {"optimizer": Categorical(("momentum", "adam"), role="scientific"), "momentum": Float(0.1, 0.99)}
    plain = {"name": "made", "objective": {"metric": "validation_accuracy"}, "training": {"optimizer": "sgd"}}
    stage = NewStage("made", 1, "maximize", 3, space, plain)
    assert [list(part.space) for part in parts_of(stage)] == [["momentum"], []]


def test_several_scientific_parameters_are_their_combinations() -> None:
    space: Space = {**SPACE, "layers": Categorical((1, 2), role="scientific")}
    parts = parts_of(NewStage("s", 1, "maximize", 3, space, {}))
    assert [part.combination for part in parts] == [
        {"optimizer": optimizer, "layers": layers} for optimizer in ("sgd", "adam") for layers in (1, 2)
    ]
    stage = NewStage("s", 1, "maximize", 3, space, {})
    name, parameter = parts[3].alone(stage, "lr", SPACE["lr"])
    assert name == "lr[adam][2]"
    assert delivered({name: parameter}, {name: 0.1}) == {"lr": 0.1}
    assert parts[0].alone(stage, "momentum", SPACE["momentum"])[0] == "momentum[1]"


def test_a_value_with_too_few_trials_keeps_its_ranges(store: Store) -> None:
    stage = made_stages.make(store, accuracy, space=SPACE, trials=9)  # 5 of one, 4 of the other
    narrowing = analyse_ranges(store, [stage], stage, top=5)
    kept = [name for name, made in narrowing.ranges.items() if made.top == 0]
    assert len(kept) in (3, 4)
    assert all("have a score: range kept" in str(narrowing.ranges[name].sentences[0]) for name in kept)
    assert len(narrowing.used) == 5
    with pytest.raises(NotEnoughTrials, match=r"^optimizer = sgd: the top 6 needs 6 trials"):
        analyse_ranges(store, [stage], stage, top=6)
    with pytest.raises(BadArgument, match="ranges are narrowed for each scientific value"):
        analyse_ranges(store, [stage], stage, top=2, leaders={0: 0.5, 1: 0.4})


def test_a_run_of_several_stages_checks_the_trials_of_each_value() -> None:
    options: dict[str, Any] = {"plan": None, "counts": Counts()}
    check_top(5, 10, combinations=2, **options)
    with pytest.raises(BadArgument, match="a stage has 9 trials, 4 of each of 2 scientific values"):
        check_top(5, 9, combinations=2, **options)
