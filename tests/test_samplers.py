from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_strategies import parameters

from hpsearch.optuna_sampler import KeyedRandomSampler, draw
from hpsearch.records import NewStage, stage_seed
from hpsearch.samplers import RandomSampler, values
from hpsearch.space import Categorical, Float, Int, Parameter, Space, to_distribution

SPACE: Space = {
    "lr": Float(1e-6, 1e-2, log=True),
    "weight_decay": Float(0.0, 0.5),
    "batch_size": Int(20, 200, step=20),
    "hidden_units": Int(1, 1000, log=True),
    "activation": Categorical(("relu", "tanh", True, 3)),
}
seeds = st.integers(0, 2**63 - 1)
numbers = st.integers(0, 10**6)


@given(seed=seeds, number=numbers, order=st.permutations(list(SPACE)), keep=st.integers(1, 5))
def test_a_value_depends_on_seed_number_and_name_alone(seed: int, number: int, order: list[str], keep: int) -> None:
    whole = values(SPACE, seed=seed, number=number)
    assert list(whole) == list(SPACE)
    values(SPACE, seed=seed, number=number + 1)  # what else was drawn does not matter
    some = values({name: SPACE[name] for name in order[:keep]}, seed=seed, number=number)
    assert some == {name: whole[name] for name in order[:keep]}
    for name in order:
        assert draw(to_distribution(SPACE[name]), seed=seed, number=number, name=name) == whole[name]


# Some ranges are two neighbouring numbers wide: there a bound is drawn, or missed by rounding.
next_to = st.floats(1e-300, 1e300, allow_subnormal=False).map(lambda low: (low, math.nextafter(low, math.inf)))
narrow = st.tuples(next_to, st.booleans()).map(lambda drawn: Float(*drawn[0], log=drawn[1]))
ranges: st.SearchStrategy[Parameter] = parameters | narrow


@settings(max_examples=150)
@given(space=st.dictionaries(st.text(), ranges, min_size=1, max_size=3), seed=seeds, first=numbers)
def test_many_draws_are_optunas_to_the_bit(space: Space, seed: int, first: int) -> None:
    sampler, stage = RandomSampler(), NewStage("s", 1, "maximize", seed, space, {})
    for number in (first, first + 1, first):
        found = sampler.params(stage, number)
        assert list(found) == list(space)
        for name, parameter in space.items():
            optunas = draw(to_distribution(parameter), seed=seed, number=number, name=name)
            # Optuna gives a NumPy scalar where rounding has met the upper bound; it is the same number.
            optunas = float(optunas) if isinstance(optunas, float) else optunas
            assert (type(found[name]), repr(found[name])) == (type(optunas), repr(optunas))


def test_a_sampler_gives_each_stage_its_own_values() -> None:
    first = NewStage("s", 1, "maximize", 5, SPACE, {})
    second = NewStage("s", 2, "maximize", stage_seed(5, 2), {"lr": Float(0.0, 1.0)}, {})
    sampler = RandomSampler()
    for stage in (first, second, first):
        assert sampler.params(stage, 3) == values(stage.space, seed=stage.seed, number=3)


def test_names_numbers_and_stages_draw_independently() -> None:
    """No two of them share a stream: their draws differ and do not go together."""
    one = Float(0.0, 1.0)
    space: Space = {"a": one, "b": one}
    n = 500

    def series(seed: int, name: str) -> list[float]:
        return [float(values(space, seed=seed, number=i)[name]) for i in range(n)]

    first = stage_seed(0, 1)
    found = [series(first, "a"), series(first, "b"), series(1, "a"), series(stage_seed(0, 2), "a")]
    found.append(found[0][1:] + found[0][:1])  # the next trial's
    assert len({value for some in found[:4] for value in some}) == 4 * n
    together = np.corrcoef(found) - np.eye(5)
    assert np.abs(together).max() < 4.5 / math.sqrt(n)


@given(seed=seeds)
def test_stage_seeds(seed: int) -> None:
    found = [stage_seed(seed, number) for number in range(1, 8)]
    assert found[0] == seed
    assert len(set(found)) == len(found)
    assert found == [stage_seed(seed, number) for number in range(1, 8)]


def suggest(trial: optuna.Trial, names: Sequence[str] = tuple(SPACE)) -> float:
    """An objective that asks for its values in its own order."""
    for name in names:
        parameter: Parameter = SPACE[name]
        if isinstance(parameter, Categorical):
            trial.suggest_categorical(name, parameter.choices)
        elif isinstance(parameter, Int):
            trial.suggest_int(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
        else:
            trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
    return 0.0


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_sampler_gives_these_values_in_any_study(n_jobs: int) -> None:
    study = optuna.create_study(sampler=KeyedRandomSampler(11))
    study.optimize(suggest, n_trials=24, n_jobs=n_jobs)
    backwards = optuna.create_study(sampler=KeyedRandomSampler(11))
    backwards.optimize(lambda trial: suggest(trial, tuple(SPACE)[::-1]), n_trials=24)
    for some in (study, backwards):
        assert {t.number: t.params for t in some.trials} == {
            number: values(SPACE, seed=11, number=number) for number in range(24)
        }


def test_the_sampler_goes_on_after_a_resume(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'my.db'}"
    for _ in range(3):
        study = optuna.create_study(study_name="s", storage=url, load_if_exists=True, sampler=KeyedRandomSampler(2**60))
        study.optimize(suggest, n_trials=2)
    assert [trial.params for trial in study.trials] == [values(SPACE, seed=2**60, number=n) for n in range(6)]
