"""How far the ends of a narrowed range would move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interval_coverage import ranged, simulate
from numpy.typing import NDArray

from hpsearch.records import Direction
from hpsearch.search.range_analysis import Finished, Movement, movement, narrow, within_reach
from hpsearch.space import Categorical, Float, Int, Space

SPACE: Space = {"x": Float(0.0, 1.0), "n": Int(1, 64, log=True), "c": Categorical(("a", "b"))}


def moved(
    score: NDArray[np.float64],
    x: NDArray[np.float64],
    *,
    hits: NDArray[np.bool_] | None = None,
    seed: int = 0,
    top: int = 5,
) -> dict[str, Movement]:
    rng = np.random.default_rng(1)
    columns = {"x": x, "n": rng.integers(1, 65, len(x)), "c": np.array(["a", "b"], dtype=object)[np.arange(len(x)) % 2]}
    trials = Finished(np.arange(len(x)), score, np.full(len(x), np.nan), columns)
    narrowing = narrow(SPACE, trials, top=top, direction="maximize", first_space=SPACE)
    ranked = trials.best(within_reach(top), "maximize")
    everything = dict.fromkeys(SPACE, np.arange(len(ranked)))
    return movement(
        narrowing,
        ranked,
        everything,
        SPACE,
        total=len(x),
        hits=None if hits is None else hits[ranked.number],
        seed=seed,
    )


def test_the_same_seed_gives_the_same_movement_and_choices_have_none() -> None:
    x = np.random.default_rng(0).random(100)
    found = moved(x, x)
    assert found == moved(x, x)
    assert found != moved(x, x, seed=1)
    assert set(found) == {"x", "n"}
    assert not found["x"].examples


def test_what_matters_stands_firmer_than_what_does_not() -> None:
    x = np.random.default_rng(0).random(100)
    found = moved(-np.abs(x - 0.5), x)
    assert max(found["x"].low, found["x"].high) < 0.05
    assert (found["x"].low_often, found["x"].high_often) < (0.05, 0.05)
    assert found["n"].low + found["n"].high > 0.3  # of 1.8 decades


def test_other_images_move_ends_too() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(100)
    hits = rng.random((100, 50)) < (0.9 - np.abs(x - 0.5))[:, None]
    score = hits.mean(axis=1)
    alone, with_images = moved(score, x)["x"], moved(score, x, hits=hits)["x"]
    assert with_images.examples
    assert with_images.low + with_images.high > alone.low + alone.high


@given(st.integers(2, 30), st.integers(0, 10))
def test_few_trials_are_no_obstacle(trials: int, seed: int) -> None:
    x = np.random.default_rng(seed).random(trials)
    for of in moved(x, x, top=min(5, trials)).values():
        assert 0 <= of.low_often <= 1
        assert 0 <= of.low < 2
        assert 0 <= of.high < 2


def test_of_many_trials_only_those_within_reach_are_looked_at() -> None:
    x = np.random.default_rng(0).random(20_000)
    found = moved(-np.abs(x - 0.5), x)["x"]
    # The nearest five of twenty thousand: the range is at its floor, 0.02 wide, and the floor's place hardly moves.
    assert max(found.low, found.high) < 0.001


def test_it_says_how_far_the_ends_of_other_searches_really_lie() -> None:
    found = [ranged(simulate(100, 100, optimum=-2.0, rng=np.random.default_rng([2, i])), seed=i) for i in range(60)]
    really = np.std([r.ends for r in found], axis=0)
    said = np.sqrt(np.mean([[r.moves.low**2, r.moves.high**2] for r in found], axis=0))
    assert said == pytest.approx(really, rel=0.35)


def test_in_words() -> None:
    assert Movement(0.3, 0.001, 0.2, 0.0, True).sentence(Float(1e-6, 1e-2, log=True)) == (
        "low end uncertain by x2.00, high end by x1 (bootstrap SD over trials and examples)"
    )
    assert (
        Movement(0.05, 0.05, 0.2, 0.2, False).sentence(Float(0, 1))
        == "both ends uncertain by 0.05 (bootstrap SD over trials)"
    )
    assert "by x17," in Movement(1.23, 0.1, 0.2, 0.2, False).sentence(Float(1e-6, 1e-2, log=True))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 40))
def test_the_best_few_are_the_first_of_all_ranked(direction: Direction, scores: list[int], many: int) -> None:
    rng = np.random.default_rng(0)
    score, loss = np.array(scores, dtype=float), rng.integers(0, 3, len(scores)).astype(float)
    trials = Finished(np.arange(len(scores)), score, loss, {"x": score})
    whole = trials.best_first(direction)
    assert trials.best(many, direction).number.tolist() == whole.number[:many].tolist()
