"""The surrogate of a search: what it learns from, what it leaves out, and what it expects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_stages import SPACE, as_number, confirm, make

from hpsearch.errors import BadInput
from hpsearch.search import narrowing, surrogate
from hpsearch.search.judgement import judge_trials
from hpsearch.search.surrogate import Encoding, delivered_space, fit, gather, surrogate_of
from hpsearch.space import Categorical, Float, Parameter, Space, Value, When
from hpsearch.store import open_store

SGD: When = {"opt": ("sgd",)}
ADAM: When = {"opt": ("adam",)}
IF_A: When = {"kind": ("a",)}


def test_it_learns_from_all_stages_what_no_single_score_says(tmp_path: Path) -> None:
    def expected(_: int, params: object) -> float:
        assert isinstance(params, dict)
        return 0.85 - 0.05 * (math.log10(as_number(params["lr"])) + 2) ** 2

    narrow = {**SPACE, "lr": Float(1e-3, 1e-1, log=True)}
    with closing(open_store(str(tmp_path / "a.db"), create=True)) as store:
        stages = [make(store, expected, images=1000), make(store, expected, images=1000, number=2, space=narrow)]
        of = surrogate_of(store, stages)
        assert of is not None
        gathered = gather(store, stages, stages[-1])
        assert {gathered.trials[at][0].name for at in of.places} == {"made/stage-01", "made/stage-02"}
        values = {"lr": np.array([1e-2, 1e-1]), "weight_decay": np.array([1e-6, 1e-6])}
        predicted = of.at(of.encoding.points(values))
        assert predicted.mean == pytest.approx([0.85, 0.80], abs=0.01)
        assert (predicted.sd < 0.01).all()
        assert (predicted.failure == 0).all()


@pytest.mark.parametrize("other", [{"fingerprint": "others"}, {"study_file": {"training": {"epochs": 5}}}], ids=str)
def test_it_learns_from_no_stage_on_other_data_or_of_other_epochs(tmp_path: Path, other: dict[str, Any]) -> None:
    with closing(open_store(str(tmp_path / "a.db"), create=True)) as store:
        first, second = (make(store, [0.5] * 12, trials=12, number=number) for number in (1, 2))
        assert len(gather(store, [first, second], first).trials) == 24
        gathered = gather(store, [first, replace(second, **other)], first)
        assert {stage.name for stage, _ in gathered.trials} == {"made/stage-01"}


def test_few_scores_have_none(tmp_path: Path) -> None:
    with closing(open_store(str(tmp_path / "a.db"), create=True)) as store:
        assert surrogate_of(store, [make(store, [0.5] * 9, trials=9)]) is None


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_failures_and_bad_scores_do_not_hide_the_good_ones(sign: float) -> None:
    x = np.random.default_rng(0).random(120)
    scores = sign * np.where(x < 0.1, -1e6, 1 - (x - 0.7) ** 2)
    scores[x > 0.8] = np.nan
    of = fit({"x": Float(0.0, 1.0)}, scores, {"x": x}, sign=sign)
    assert of is not None
    predicted = of.at(of.encoding.points({"x": np.array([0.7, 0.9, 0.05])}))
    assert predicted.mean[0] == pytest.approx(sign, abs=0.02)
    assert sign * predicted.mean[2] < 0.9
    assert predicted.failure[0] < 0.2
    assert predicted.failure[1] > 0.8


def test_of_many_trials_it_learns_from_those_that_others_expect_to_be_good_and_not_from_the_lucky_ones() -> None:
    rng = np.random.default_rng(0)
    x, flat = rng.random(2000), rng.normal(size=2000)
    of = fit({"x": Float(0.0, 1.0)}, flat, {"x": x}, sign=1.0)
    assert of is not None
    assert len(of.scores) == surrogate.MOST
    assert abs(of.at(np.array([[0.5]])).mean[0] - np.maximum(flat, of.floor).mean()) < 0.2  # of the best 200: 1.7
    rising = fit({"x": Float(0.0, 1.0)}, x + 0.1 * flat, {"x": x}, sign=1.0)
    assert rising is not None
    assert np.sum(rising.points > 0.9) > 0.4 * surrogate.MOST


def test_of_many_trials_it_does_not_choose_those_that_others_expect_to_fail() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(2000)
    scores = np.where((x > 0.8) & (rng.random(2000) < 0.95), np.nan, x)
    of = fit({"x": Float(0.0, 1.0)}, scores, {"x": x}, sign=1.0)
    assert of is not None
    assert np.mean(of.points > 0.85) < 0.15  # an even sample alone has 0.15


def test_many_failures_leave_a_surrogate() -> None:
    x = np.random.default_rng(0).random(3000)
    scores = np.where(np.arange(3000) % 250, np.nan, x)
    of = fit({"x": Float(0.0, 1.0)}, scores, {"x": x}, sign=1.0)
    assert of is not None
    assert of.at(np.array([[0.5]])).failure[0] > 0.9


def test_choices_are_one_apart_and_a_missing_number_is_in_the_middle() -> None:
    encoding = Encoding({"kind": Categorical(("a", "b", None)), "size": Float(1.0, 100.0, log=True)})
    values = {"kind": np.array(["a", "b", None], dtype=object), "size": np.array([1.0, 100.0, np.nan])}
    points = encoding.points(values)
    assert points[:, 3].tolist() == [0.0, 1.0, 0.5]
    assert np.linalg.norm(points[0, :3] - points[1, :3]) == pytest.approx(1)
    assert np.linalg.norm(points[0, :3] - points[2, :3]) == pytest.approx(1)
    assert encoding.groups.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(("options", "problem"), [({"top": 0}, "at least 2"), ({}, "give one of them")])
def test_how_many_trials_to_use_is_checked_before_anything_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, int], problem: str
) -> None:
    monkeypatch.setattr(narrowing, "surrogate_of", lambda *_, **__: pytest.fail("learned"))
    with closing(open_store(str(tmp_path / "a.db"), create=True)) as store:
        stage = make(store, [0.5] * 12, trials=12)
        with pytest.raises(BadInput, match=problem):
            narrowing.analyse_ranges(store, [stage], stage, **options)  # type: ignore[arg-type]


def test_ranges_per_value_with_other_scales_are_one() -> None:
    some: Space = {"wd[sgd]": Float(0.0, 0.1, when=SGD), "wd[adam]": Float(1e-5, 0.1, log=True, when=ADAM)}
    for order in (some, dict(reversed([*some.items()]))):
        assert delivered_space(order) == {"wd": Float(1e-5, 0.1, log=True)}
    below = {**some, "wd[sgd]": Float(-1.0, 0.1, when=SGD)}
    assert delivered_space(below) == {"wd": Float(-1.0, 0.1)}
    rows: list[dict[str, Value]] = [{"wd[sgd]": 0.0}, {"wd[sgd]": 0.001}, {"wd[adam]": 0.001}, {}]
    points = Encoding(delivered_space(some)).rows(some, rows)
    assert points[:, 0].tolist() == pytest.approx([-0.25, 0.5, 0.5, 0.5])


def test_choices_for_one_value_and_numbers_for_another_are_kept_apart() -> None:
    some: Space = {"wd[sgd]": Categorical(("off", 0.1), when=SGD), "wd[adam]": Float(0.0, 1.0, when=ADAM)}
    space = delivered_space({"opt": Categorical(("sgd", "adam")), **some})
    assert list(space) == ["opt", "wd", "wd (choices)"]
    rows: list[dict[str, Value]] = [{"wd[sgd]": "off"}, {"wd[sgd]": 0.1}, {"wd[adam]": 0.1}]
    points = Encoding(space).rows(some, rows)
    assert points[:, 2].tolist() == pytest.approx([0.5, 0.5, 0.1])
    assert (points[:, 3:] > 0).tolist() == [[True, False], [False, True], [False, False]]


@pytest.mark.parametrize("other", [Float(0.0, 0.1, when=SGD), Categorical(("off", "on"), when=SGD)])
def test_ranges_per_value_of_any_forms_are_learned_from_and_narrowed(tmp_path: Path, other: Parameter) -> None:
    own = {"wd[sgd]": other, "wd[adam]": Float(1e-5, 0.1, log=True, when=ADAM)}
    space = {"opt": Categorical(("sgd", "adam")), **own}

    def expected(_: int, params: Mapping[str, Value]) -> float:
        if params["opt"] == "sgd":
            return 0.8
        return 0.9 - 0.05 * (math.log10(as_number(params["wd[adam]"])) + 3) ** 2

    with closing(open_store(str(tmp_path / "a.db"), create=True)) as store:
        stage = make(store, expected, space=space, images=1000)
        made = narrowing.analyse_ranges(store, [stage], stage, top=5).space["wd[adam]"]
        assert isinstance(made, Float)
        assert 1e-5 < made.low < 1e-3 < made.high < 0.1
        rows = Encoding(delivered_space(space)).rows(space, [{"opt": "adam", "wd[adam]": 1e-3}])
        of = surrogate_of(store, [stage])
        assert of is not None
        assert of.at(rows).mean[0] == pytest.approx(0.9, abs=0.01)


def test_none_is_a_choice_wherever_its_values_are_from(tmp_path: Path) -> None:
    space: Space = {
        "x": Float(0.0, 1.0),
        "kind": Categorical(("a", "b", None)),
        "own": Categorical((1, None), when=IF_A),
    }

    def expected(_: int, params: Mapping[str, Value]) -> float:
        return {"a": 0.8, "b": 0.7, None: 0.9}[params["kind"]] - (0.02 if params.get("own") else 0)  # type: ignore[index]

    with closing(open_store(str(tmp_path / "a.db"), create=True)) as store:
        stage = make(store, expected, space=space, trials=60)
        confirm(store, stage, [0.9, 0.89])
        judgement = judge_trials(store, [stage], like=stage)
        of = surrogate_of(store, [stage])
        assert judgement is not None
        assert of is not None
        rows: list[dict[str, Value]] = [{"kind": "a", "own": 1}, {"kind": "a", "own": None}, {"kind": "b"}, {}]
        known = of.encoding.rows(space, [{"x": 0.5, "kind": None, **row} for row in rows])
        assert of.at(known).mean == pytest.approx([0.78, 0.8, 0.7, 0.9], abs=0.01)
        assert {tuple(row) for row in of.points[:, 1:]} == {tuple(row) for row in known[:, 1:]}
        points: dict[tuple[str, int], set[tuple[float, ...]]] = {key: set() for key in judgement.settings}
        for setting, point in zip(judgement.settings, judgement.judged.process.points, strict=True):
            points[setting].add(tuple(point))
        assert len(judgement.repeats()) == 20
        assert all(len(some) == 1 for some in points.values())
