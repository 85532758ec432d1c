"""Trials as lanes: what a trial comes to depends on its number and values alone."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import pytest
import tiny

from hpsearch import data
from hpsearch.errors import BadInput
from hpsearch.nn import SGD, Network, Purpose, lane_rng, train_epochs
from hpsearch.objectives.network.objective import NetworkObjective
from hpsearch.records import CURVES, HITS, SECONDS, VALIDATION_LOSS, Completed, Failed, Paused, Pruned, Report, Trial
from hpsearch.statistics.hits import unpack

RATES = (0.001, 0.03, 0.3, 1.0, 0.1)
SPACE = tiny.PLAIN["space"]


def trials(*rates: float, first: int = 0) -> list[Trial]:
    return [Trial(100 + n, n, {"lr": lr, "weight_decay": 1e-6}) for n, lr in enumerate(rates, start=first)]


def lasting(objective: NetworkObjective, some: list[Trial]) -> dict[int, Any]:
    outcomes, _ = tiny.evaluated(objective, some)
    return {number: tiny.lasting(outcome) for number, outcome in outcomes.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_batching_and_order_gives_the_same_bits(dtype: str) -> None:
    objective = replace(tiny.objective(seed=5), dtype=dtype)
    five = trials(*RATES)
    together = lasting(objective, five)
    assert sorted(together) == [0, 1, 2, 3, 4]
    assert len({outcome[3:4] for outcome in together.values()} | {str(o) for o in together.values()}) > 5
    for batches in (
        [[t] for t in five],
        [five[:2], five[2:]],
        [five[::-1]],
        [[five[3], five[0]], five[1:3] + five[4:]],
    ):
        assert dict(chain.from_iterable(lasting(objective, batch).items() for batch in batches)) == together


@pytest.mark.parametrize("repeat", [None, 7])
def test_weights_come_from_seed_and_number_and_the_order_of_samples_from_the_seed(repeat: int | None) -> None:
    """A repeat has both of its own, whatever its number."""
    objective = tiny.objective(seed=5)
    assert objective.inputs is not None
    live = len(objective.inputs.kept)
    outcomes, _ = tiny.evaluated(objective, [replace(trial, repeat=repeat) for trial in trials(*RATES, first=3)])
    for number, rate in enumerate(RATES, start=3):
        weights = [lane_rng(5, repeat or number, Purpose.WEIGHTS)]
        network = Network((live, 8, 10), rngs=weights, inputs=objective.inputs)
        order = [lane_rng(5, repeat or 0, Purpose.ORDER)]
        epochs = list(train_epochs(network, SGD([rate], [1e-6]), objective.data, batch_size=20, epochs=3, rngs=order))
        assert outcomes[number].intermediate == tuple(epoch.validation_accuracy[0] for epoch in epochs)
        assert outcomes[number].attributes[CURVES]["train_loss"] == [epoch.train_loss[0] for epoch in epochs]


@pytest.mark.parametrize(("rate", "late"), [(1e30, False), (1e12, True)])
def test_divergence_is_a_failure_with_its_curve_and_leaves_the_neighbours_alone(rate: float, late: bool) -> None:
    objective = tiny.objective(training={"batch_size": 40, "epochs": 5})
    calm = trials(*RATES)
    expected = lasting(objective, calm)
    for place in range(6):
        (wild,) = trials(rate, first=9)
        outcomes, reports = tiny.evaluated(objective, [*calm[:place], wild, *calm[place:]])
        failed = outcomes.pop(9)
        assert isinstance(failed, Failed)
        said = re.fullmatch(r"\w+ loss became (?:nan|inf) in epoch (\d)", failed.reason)
        assert said is not None
        epoch = int(said[1])
        assert (epoch > 1) is late
        assert len(failed.intermediate) == epoch - 1
        assert all(len(curve) == epoch - 1 for curve in failed.attributes[CURVES].values())
        assert [report.step for report in reports if report.number == 9] == list(range(1, epoch))
        assert {number: tiny.lasting(outcome) for number, outcome in outcomes.items()} == expected


@pytest.mark.parametrize("metric", ["validation_accuracy", "validation_loss"])
@pytest.mark.parametrize("at", ["last", "best"])
def test_the_score_and_its_loss_are_those_of_the_scored_epoch(metric: str, at: str) -> None:
    epochs = 8
    objective = tiny.objective(objective={"metric": metric, "at": at}, training={"epochs": epochs})
    outcomes, reports = tiny.evaluated(objective, trials(*RATES, 3.0))
    scored_early = 0
    for number, outcome in outcomes.items():
        assert isinstance(outcome, Completed)
        curve = outcome.intermediate
        assert [(r.step, r.value) for r in reports if r.number == number] == list(enumerate(curve, start=1))
        others = outcome.attributes[CURVES]
        names = {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy"}
        assert set(others) == names - {metric}
        assert {len(curve), *(len(other) for other in others.values())} == {epochs}
        best = max(curve) if metric == "validation_accuracy" else min(curve)
        epoch = curve.index(best) if at == "best" else epochs - 1
        scored_early += epoch < epochs - 1
        assert outcome.score == curve[epoch]
        losses = curve if metric == "validation_loss" else others["validation_loss"]
        assert outcome.attributes[VALIDATION_LOSS] == losses[epoch]
        accuracies = curve if metric == "validation_accuracy" else others["validation_accuracy"]
        assert accuracy_of(objective, outcome) == accuracies[epoch]
        assert outcome.attributes[SECONDS] > 0
    assert (scored_early > 0) is (at == "best")


def test_trials_are_grouped_by_structure_in_their_order() -> None:
    objective = tiny.objective(
        space={**SPACE, "hidden": {"choices": ["8", "4x2"]}, "batch_size": {"low": 10, "high": 20, "step": 10}}
    )
    drawn = [
        Trial(n, n, {"lr": 0.1 / (n + 1), "weight_decay": n * 1e-6, "hidden": hidden, "batch_size": size})
        for n, (hidden, size) in enumerate([("8", 10), ("4x2", 10), ("8", 20), ("8", 10), ("4x2", 10), ("8", 20)])
    ]
    groups = objective.group(drawn)
    assert [[trial.number for trial in group] for group in groups] == [[0, 3], [1, 4], [2, 5]]
    for group in groups:
        (structure,) = {objective.structure(trial.params) for trial in group}
        assert structure.batch_size == group[0].params["batch_size"]
        assert sorted(lasting(objective, group)) == [trial.number for trial in group]
    assert objective.group([]) == []
    assert objective.structures() > 1
    assert tiny.objective().structures() == 1


@pytest.mark.parametrize(
    ("network", "drawn", "space", "hidden"),
    [
        ({"hidden": [8, 4]}, {}, {}, (8, 4)),
        ({"hidden": []}, {}, {}, ()),
        ({"hidden": "8x2"}, {}, {}, (8, 8)),
        ({"hidden": "8-4x2"}, {}, {}, (8, 4, 4)),
        ({"hidden": None}, {}, {}, ()),
        ({"hidden": None, "hidden_layers": 3, "hidden_units": 5}, {}, {}, (5, 5, 5)),
        ({"hidden": None, "hidden_layers": 0, "hidden_units": 5}, {}, {}, ()),
        ({"hidden": None}, {"hidden": "6x3"}, {"hidden": {"choices": ["6x3", "8"]}}, (6, 6, 6)),
        ({"hidden": None}, {"hidden": 8}, {"hidden": {"choices": [8, 4]}}, (8,)),
        ({"hidden": None, "hidden_layers": 2}, {"hidden_units": 7}, {"hidden_units": {"low": 4, "high": 8}}, (7, 7)),
        (
            {"hidden": None},
            {"hidden_units": 7, "hidden_layers": 1},
            {"hidden_units": {"low": 4, "high": 8}, "hidden_layers": {"low": 0, "high": 2}},
            (7,),
        ),
    ],
)
def test_hidden_layers_in_all_their_forms(
    network: dict[str, Any], drawn: dict[str, Any], space: dict[str, Any], hidden: tuple[int, ...]
) -> None:
    objective = tiny.objective(network=network, space={**SPACE, **space})
    trial = Trial(0, 0, {"lr": 0.1, "weight_decay": 0.0, **drawn})
    assert objective.structure(trial.params).sizes == (784, *hidden, 10)
    assert isinstance(tiny.evaluated(objective, [trial])[0][0], Completed)
    assert objective.lanes(trial) >= 1


def test_the_largest_structure_is_the_space_s_corner() -> None:
    by_choice = tiny.objective(network={"hidden": None}, space={**SPACE, "hidden": {"choices": ["8", "30x2", "9x3"]}})
    assert by_choice.largest().sizes == (784, 30, 30, 10)
    ranges = {"hidden_units": {"low": 4, "high": 8}, "hidden_layers": {"low": 0, "high": 2}}
    assert tiny.objective(network={"hidden": None}, space={**SPACE, **ranges}).largest().sizes == (784, 8, 8, 10)


@pytest.mark.parametrize("searched", [False, True])
@pytest.mark.parametrize(
    ("section", "name", "wrong", "meant"),
    [
        ("network", "activation", "rellu", "relu"),
        ("network", "initializer", "hee", "he"),
        ("training", "optimizer", "sdg", "sgd"),
    ],
)
def test_unknown_building_blocks_are_refused_with_the_nearest(
    section: str, name: str, wrong: str, meant: str, searched: bool
) -> None:
    given: dict[str, Any] = {section: {name: wrong}}
    if searched:
        given = {"space": {**SPACE, name: {"choices": [meant, wrong]}}}
    with pytest.raises(BadInput, match=re.escape(f"no {name} {wrong!r}; did you mean {meant!r}?")):
        tiny.objective(**given)


def test_test_images_never_reach_a_worker() -> None:
    section = tiny.study().sections.data
    assert section.name is not None
    sizes = {"train": section.train, "validation": section.validation, "test": section.test}
    images, _ = data.test_part(data.load(section.name), **sizes, seed=section.seed)
    objective = tiny.objective()
    assert objective.inputs is not None
    kept = objective.inputs.kept
    sent = pickle.dumps(objective)
    split = tiny.split()
    assert split.x_train[0, kept].tobytes() in sent
    assert split.x_validation[-1, kept].tobytes() in sent
    assert len(images) == 10
    assert not any(image.tobytes() in sent or image[kept].tobytes() in sent for image in images)


@pytest.mark.parametrize("at", ["last", "best"])
@pytest.mark.parametrize("metric", ["validation_accuracy", "validation_loss"])
def test_trials_that_pause_come_to_what_they_come_to_without(metric: str, at: str) -> None:
    sections: dict[str, Any] = {
        "training": {"epochs": 6, "optimizer": "adam", "lr_schedule": "cosine"},
        "network": {"dropout": 0.2, "batch_norm": True},
        "objective": {"metric": metric, "at": at},
    }
    objective = tiny.objective(seed=5, **sections)
    some = trials(0.001, 0.03, 1e30, 0.3)
    whole = lasting(objective, some)
    points: list[Report] = []
    paused: dict[int, Paused] = {}
    ended: dict[int, Any] = {}
    for until, batches in ((2, [some[:3], some[3:]]), (3, [some[::-1]]), (None, [some[1:2], some[::3]])):
        for batch in batches:
            batch = [trial for trial in batch if trial.number not in ended]
            given = [paused[trial.number] for trial in batch if trial.number in paused]
            for items in objective.evaluate(batch, until=until, paused=pickle.loads(pickle.dumps(given))):
                for item in items:
                    if isinstance(item, Report):
                        points.append(item)
                    elif isinstance(item, Paused):
                        assert item.epoch == len(item.intermediate) == until
                        assert item.attributes[VALIDATION_LOSS] == whole_loss(item, metric)
                        accuracies = {metric: item.intermediate, **item.attributes[CURVES]}["validation_accuracy"]
                        assert accuracy_of(objective, item) == accuracies[-1]
                        paused[item.number] = item
                    else:
                        ended[item.number] = item
    assert {number: tiny.lasting(outcome) for number, outcome in ended.items()} == whole
    assert isinstance(ended[2], Failed)
    assert sorted((p.number, p.step) for p in points if p.number != 2) == [
        (n, s) for n in (0, 1, 3) for s in range(1, 7)
    ]
    assert all(ended[number].attributes[SECONDS] >= paused[number].attributes[SECONDS] > 0 for number in paused)
    pruned = paused[0].pruned()
    assert pruned == Pruned(0, 3, paused[0].intermediate, paused[0].attributes)
    assert pruned.intermediate == ended[0].intermediate[:3]


def accuracy_of(objective: NetworkObjective, outcome: Completed | Paused) -> float:
    """The share of the validation images that a trial got right, by the hits that it keeps."""
    return float(np.mean(list(unpack(outcome.attributes[HITS], len(objective.data.validation_images)))))


def whole_loss(paused: Paused, metric: str) -> float:
    """The validation loss at the epoch of a pause, whatever epoch a finished trial would be scored at."""
    loss = paused.intermediate if metric == "validation_loss" else paused.attributes[CURVES]["validation_loss"]
    return float(loss[-1])


def test_the_time_before_a_pause_counts() -> None:
    objective, some = tiny.objective(), trials(0.1, 0.3)
    *_, items = objective.evaluate(some, until=1)
    paused = [replace(item, attributes={**item.attributes, SECONDS: 1000.0}) for item in items if type(item) is Paused]
    outcomes = [item for items in objective.evaluate(some, paused=paused) for item in items if type(item) is Completed]
    assert [1000 < outcome.attributes[SECONDS] < 2000 for outcome in outcomes] == [True, True]
