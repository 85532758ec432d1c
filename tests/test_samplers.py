from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import user_functions
from hypothesis import given, settings
from hypothesis import strategies as st
from made_stages import as_number
from scipy.stats import qmc
from space_strategies import parameters

from hpsearch.constraints import Constraints
from hpsearch.errors import BadInput, BadSpace, MissingExtra
from hpsearch.optuna_sampler import KeyedRandomSampler, draw
from hpsearch.records import NewStage, stage_seed
from hpsearch.roles import scientific
from hpsearch.samplers import SAMPLERS, RandomSampler, check_sampling, fill_in, sampler_of, values
from hpsearch.space import Categorical, Float, Int, Parameter, Space, Value, per_value, present, to_distribution

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
        return [as_number(values(space, seed=seed, number=i)[name]) for i in range(n)]

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


CONDITIONAL: Space = {
    "momentum": Float(0.5, 0.99, when={"optimizer": ("sgd",)}),
    "optimizer": Categorical(("sgd", "adam", None)),
    **per_value("wd", "optimizer", {"sgd": Float(1e-5, 1e-2, log=True), "adam": Float(1e-6, 1e-3, log=True)}),
    "units": Int(1, 1000, log=True),
    "layers": Int(1, 8),
    "width": Int(8, 64, step=8, when={"layers": (2, 3), "optimizer": ("sgd",)}),
}
CONSTRAINTS = ["units * layers <= 200", "wd * units < 0.01 or layers == 1", "user_functions:fits"]


def stage(sampler: str, space: Space = CONDITIONAL, constraints: Sequence[str] = (), seed: int = 3) -> NewStage:
    plain = {"trials": {"sampler": sampler}, "constraints": list(constraints), "fixed": {"batch": 32}}
    return NewStage("s", 1, "maximize", seed, space, plain)


@pytest.mark.parametrize("constraints", [[], CONSTRAINTS])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_values_depend_on_seed_and_number_alone_with_conditions_and_constraints(
    sampler: str, constraints: list[str]
) -> None:
    """The same in whatever order and by whichever process, which has a sampler of its own."""
    of = stage(sampler, constraints=constraints)
    forwards = sampler_of(of)
    trials = [forwards.params(of, number) for number in range(64)]
    others = [sampler_of(of), sampler_of(of)]
    assert [others[number % 2].params(of, number) for number in reversed(range(64))] == trials[::-1]
    other = stage(sampler, constraints=constraints, seed=4)
    assert [forwards.params(other, number) for number in range(8)] != trials[:8]
    assert [forwards.params(of, number) for number in range(8)] == trials[:8]
    constrained = Constraints(constraints, CONDITIONAL, {"batch": 32})
    for trial in trials:
        assert trial == present(CONDITIONAL, trial)
        assert list(trial) == [name for name in CONDITIONAL if name in trial]
        assert ("momentum" in trial) == (trial["optimizer"] == "sgd")
        assert fill_in(of, 0, trial) == trial  # nothing is missing
        assert constrained.broken(trial) is None
        assert {type(value) for value in trial.values()} <= {float, int, str, type(None)}


def test_a_condition_changes_no_value_and_a_constraint_only_those_of_the_trials_that_break_it() -> None:
    plain: Space = {name: parameter for name, parameter in CONDITIONAL.items() if parameter.when is None}
    free, bound = stage("random"), stage("random", constraints=["units * layers <= 200"])
    redrawn = 0
    for number in range(100):
        drawn = RandomSampler().params(free, number)
        assert {name: drawn[name] for name in plain} == values(plain, seed=3, number=number)
        meets = as_number(drawn["units"]) * as_number(drawn["layers"]) <= 200
        assert (RandomSampler().params(bound, number) == drawn) == meets
        redrawn += not meets
    assert 10 < redrawn < 90


def test_given_values_decide_the_conditions() -> None:
    of = stage("random")
    given: dict[str, Value] = {"optimizer": "adam", "momentum": 0.7, "units": 5}
    made = fill_in(of, 7, given)
    assert (made["optimizer"], made["units"]) == ("adam", 5)
    assert "momentum" not in made
    assert made["wd[adam]"] == draw(to_distribution(CONDITIONAL["wd[adam]"]), seed=3, number=7, name="wd[adam]")


@pytest.mark.parametrize("sampler", ["sobol", "halton"])
@pytest.mark.parametrize("dimensions", [2, 8])
def test_quasi_random_points_are_spread_more_evenly_than_random_ones(sampler: str, dimensions: int) -> None:
    space: Space = {f"x{i}": Float(0, 1) for i in range(dimensions)}
    for n in (16, 256):
        found = {}
        for name in (sampler, "random"):
            of, draws = stage(name, space, seed=1), sampler_of(stage(name, space, seed=1))
            found[name] = qmc.discrepancy(np.array([[*draws.params(of, number).values()] for number in range(n)]))
        assert found[sampler] < found["random"] / 1.5, n


@pytest.mark.parametrize("sampler", ["sobol", "halton"])
def test_each_branch_of_the_conditions_has_a_sequence_of_its_own(sampler: str) -> None:
    """Where one of them stands by itself, its values fill their range evenly: every sixteenth, and each choice."""
    of = stage(sampler)
    draws = sampler_of(of)
    trials = [draws.params(of, number) for number in range(192)]
    count = Counter(trial["optimizer"] for trial in trials)
    assert set(count.values()) <= {63, 64, 65}
    momentum = [as_number(trial["momentum"]) for trial in trials if "momentum" in trial]
    cells, _ = np.histogram(momentum, bins=8, range=(0.5, 0.99))
    assert cells.min() >= 4
    assert {trial["width"] for trial in trials if "width" in trial} == set(range(8, 65, 8))


SCIENTIFIC: Space = {
    "lr": Float(1e-5, 1.0, log=True),
    "nesterov": Categorical((False, True), when={"optimizer": ("sgd",)}),
    "optimizer": Categorical(("sgd", "adam", "lion"), role="scientific"),
    "layers": Categorical((1, 2, 3), role="scientific"),
    "momentum": Float(0.5, 0.99, when={"optimizer": ("sgd",)}),
    "width": Int(8, 64, step=8, when={"layers": (2, 3)}),
}


@pytest.mark.parametrize("constraints", [[], ["width * layers <= 128"]])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_combination_of_scientific_values_has_as_many_trials(sampler: str, constraints: list[str]) -> None:
    """Nine of them: once in every nine trials, in an order that changes, whoever samples which trial."""
    of = stage(sampler, SCIENTIFIC, constraints)
    draws, other = sampler_of(of), sampler_of(of)
    trials = [draws.params(of, number) for number in range(90)]
    assert [other.params(of, number) for number in reversed(range(90))] == trials[::-1]
    blocks = [[as_text(trial, scientific(SCIENTIFIC)) for trial in trials[at : at + 9]] for at in range(0, 90, 9)]
    assert {tuple(sorted(block)) for block in blocks} == {tuple(sorted(blocks[0]))}
    assert len(set(blocks[0])) == 9
    assert len(set(map(tuple, blocks))) > 5
    for number, trial in enumerate(trials):
        assert trial == present(SCIENTIFIC, trial)
        assert as_text(fill_in(of, number, {}), scientific(SCIENTIFIC)) == as_text(trial, scientific(SCIENTIFIC))
        assert ("momentum" in trial, "width" in trial) == (trial["optimizer"] == "sgd", trial["layers"] != 1)
    assert len({trial["lr"] for trial in trials}) == 90


def as_text(trial: dict[str, Value], names: Sequence[str]) -> str:
    return str({name: trial[name] for name in names if name in trial})


@pytest.mark.parametrize("sampler", ["sobol", "halton"])
def test_nuisance_values_are_even_within_each_combination(sampler: str) -> None:
    space: Space = {"lr": Float(0, 1), "optimizer": Categorical(("sgd", "adam", "lion"), role="scientific")}
    of = stage(sampler, space)
    draws = sampler_of(of)
    trials = [draws.params(of, number) for number in range(48)]
    series = {
        optimizer: [as_number(trial["lr"]) for trial in trials if trial["optimizer"] == optimizer]
        for optimizer in ("sgd", "adam", "lion")
    }
    for rates in series.values():
        cells, _ = np.histogram(rates, bins=8, range=(0, 1))
        assert (cells.min(), cells.max()) == (2, 2) if sampler == "sobol" else cells.min() >= 1
    assert len({rate for rates in series.values() for rate in rates}) == 48


def test_a_role_changes_no_nuisance_value() -> None:
    plain: Space = {name: replace(parameter, role="nuisance") for name, parameter in SCIENTIFIC.items()}
    for number in range(20):
        trial = RandomSampler().params(stage("random", SCIENTIFIC), number)
        assert trial["lr"] == RandomSampler().params(stage("random", plain), number)["lr"]


@pytest.mark.parametrize(
    ("constraints", "says"),
    [
        (["units * layer <= 9"], "'layer' is not a parameter of this search; did you mean 'layers'?"),
        (["units *"], "constraint 'units *' is not an expression: "),
        (["units = 4"], "constraint 'units = 4' is not an expression: "),
        (["open('x') and units"], "'open' is not a function that it may use; known: abs, ceil"),
        (["units in list(range(9))"], "'list' is not a function that it may use"),
        (["1 < 2"], "names no parameter; known: batch, layers"),
        (["units * layers"], "layers = 7, units = 2: 14 is neither true nor false"),
        (["units / (layers - layers) < 1"], "division by zero"),
        (["optimizer + 1 < 2"], "constraint 'optimizer + 1 < 2': optimizer = sgd: "),
        (["units < 9 ** 9 ** 9"], "Sorry! I don't want to evaluate 9 **"),
        (["units.__class__ == layers"], "Sorry, access to __attributes"),
        (["layers > 1", "units > 990", "batch == 32"], "and most break 'units > 990'; relax it"),
        (["batch < 32 and units > 0"], "of 1,000 draws 0 meet the constraints"),
        (["(" * 999 + "units" + ")" * 999], "characters; give at most 1,000"),
        (["-" * 980 + "units < 3"], "maximum recursion depth exceeded"),
        (["nowhere.py:fits"], "constraint 'nowhere.py:fits': there is no file "),
        (["user_functions:nothing"], "has no 'nothing'; it has: "),
        (["user_functions:square"], "constraint 'user_functions:square': batch = 32, layers = 7, "),
        (["user_functions:square"], ": AttributeError: 'dict' object has no "),
        (["builtins:len"], "6 is neither true nor false"),
        (["builtins:dict.clear"], "None is neither true nor false"),
    ],
)
def test_constraints_that_are_refused(constraints: list[str], says: str) -> None:
    with pytest.raises(BadInput, match=re.escape(says)) as caught:
        check_sampling(stage("random", constraints=constraints))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "constraint", ["optimizer in ('sgd', None)", "max(units, batch) <= 40", "wd < 1e-4 or layers > 1"]
)
def test_constraints_that_are_taken(constraint: str) -> None:
    check_sampling(stage("random", constraints=[constraint]))


@pytest.mark.parametrize(("below", "calls", "refused"), [(2.0, 40, False), (0.0, 40, False), (0.0, 60, True)])
def test_a_slow_function_is_called_less_often(
    below: float, calls: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer than 50 draws refuse nothing."""
    clock = [0.0]

    def fits(params: dict[str, Value]) -> bool:
        clock.append(clock[-1] + (3.0 / (calls - 1.5) if len(clock) > 1 else 100.0))  # the first call imports
        return as_number(params["wd"]) < below

    monkeypatch.setattr("hpsearch.samplers.time", SimpleNamespace(monotonic=lambda: clock[-1]))
    monkeypatch.setattr(user_functions, "fits", fits)
    with pytest.raises(BadSpace, match=f"of {calls} draws 0 meet") if refused else nullcontext():
        check_sampling(stage("random", {"wd": Float(0.1, 1.0)}, ["user_functions:fits"]))
    assert len(clock) == calls + 1


def test_a_quasi_random_sampler_without_scipy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hpsearch.quasi_random", None)  # as if what it imports were not installed
    check_sampling(stage("random"))
    with pytest.raises(MissingExtra, match=re.escape("the sampler halton needs SciPy; pip install 'hpsearch[sobol]'")):
        check_sampling(stage("halton"))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_for_values_ends(sampler: str) -> None:
    of = stage(sampler, constraints=["units > 2000"])
    draws = sampler_of(of)
    for _ in range(2):
        with pytest.raises(BadSpace, match="none of 1,000"):
            draws.params(of, 0)
