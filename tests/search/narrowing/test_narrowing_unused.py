"""Narrowing a hyperparameter that not every trial uses: only those that do say anything about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import narrowings
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.objectives.base import UsedBy
from hpsearch.objectives.network.hyperparameters import HYPERPARAMETERS
from hpsearch.search.narrowing import reachable
from hpsearch.search.range_analysis import NarrowedRange, Narrowing, narrow, narrowing_to_dict
from hpsearch.space import Categorical, Float, Int, Space, Value

BY = {"momentum": UsedBy("optimizer", ("momentum", "nesterov"))}
SPACE: Space = {"optimizer": Categorical(("sgd", "momentum", "nesterov", "adam")), "momentum": Float(0.0, 0.99)}


def result(optimizers: Sequence[Value], values: Sequence[Value], *, top: int = 5, **options: Any) -> Narrowing:
    """Narrow; the earlier trials are the better ones."""
    trials = narrowings.trials({"optimizer": optimizers, "momentum": values}, [-float(i) for i in range(len(values))])
    return narrow(SPACE, trials, top=top, direction="maximize", first_space=SPACE, used_by=BY, **options)


def of(optimizers: Sequence[Value], values: Sequence[Value], **options: Any) -> NarrowedRange:
    return result(optimizers, values, **options).ranges["momentum"]


BEST = ["momentum", "adam", "nesterov", "sgd", "momentum"]


def test_only_the_best_trials_that_use_it_make_its_range() -> None:
    made = of([*BEST, *["momentum"] * 20], [0.8, 0.1, 0.9, 0.05, 0.85, *np.linspace(0, 0.7, 20)])
    alone = narrowings.one(Float(0.0, 0.99), [0.8, 0.9, 0.85, *np.linspace(0, 0.7, 20)], top=3).ranges["x"]
    assert (made.after, made.evidence, made.top) == (alone.after, alone.evidence, 3)
    assert (made.lowest, made.highest) == (0.8, 0.9)
    assert made.sentences()[0] == alone.sentences()[0].replace("the top 3", "of the best 5 the 3 that use it")
    assert made.edges == alone.edges


@given(st.lists(st.floats(0, 0.99), min_size=20, max_size=20), st.lists(st.floats(0, 0.99), min_size=20, max_size=20))
def test_what_the_others_drew_does_not_matter(used: list[float], unused: list[float]) -> None:
    optimizers = (["momentum", "adam", "nesterov", "sgd"] * 5)[:20]
    other = [u if o in ("momentum", "nesterov") else v for o, u, v in zip(optimizers, used, unused, strict=True)]
    one, two = result(optimizers, used, expand=True), result(optimizers, other, expand=True)
    assert one == two


def test_an_edge_is_seen_among_those_that_use_it() -> None:
    # 60 trials of momentum rise to the upper bound; of adam as many, whose values lie elsewhere, are mixed in.
    values = [v for rising in np.linspace(0.99, 0.0, 60) for v in (float(rising), 0.2)]
    made = of(["momentum", "adam"] * 60, values, top=10)
    assert [edge.side for edge in made.edges] == ["high"]
    plain = narrow(
        SPACE,
        narrowings.trials({"optimizer": ["momentum", "adam"] * 60, "momentum": values}, [-i for i in range(120)]),
        top=10,
        direction="maximize",
        first_space=SPACE,
    )
    assert plain.ranges["momentum"].edges == ()


@pytest.mark.parametrize(("users", "says"), [(1, "only 1"), (0, "none")])
def test_of_fewer_than_two_the_range_is_kept(users: int, says: str) -> None:
    optimizers = (["nesterov"] * users + ["adam"] * 5)[:5] + ["momentum"] * 20
    narrowing = result(optimizers, [0.5] * 25, expand=True)
    made = narrowing.ranges["momentum"]
    assert made.after == made.before == narrowing.space["momentum"]
    assert (made.evidence, made.lowest, made.highest, made.kept, made.top) == (None, None, None, 1.0, users)
    assert made.sentences() == (
        f"{says} of the best 5 trials used momentum (optimizer momentum, nesterov): range kept",
    )
    plain = narrowing_to_dict(narrowing)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["ranges"]["momentum"]["evidence"] is None
    assert plain["ranges"]["momentum"]["top"] == users
    assert narrowing.used == (0, 1, 2, 3, 4)


def test_the_optimizer_is_the_study_files_where_it_is_not_drawn() -> None:
    space: Space = {"momentum": Float(0.0, 0.99)}
    trials = narrowings.trials({"momentum": [0.5, 0.6, 0.55, 0.1]}, [4, 3, 2, 1])

    def top(settings: dict[str, Any]) -> int:
        made = narrow(space, trials, top=3, direction="maximize", first_space=space, used_by=BY, settings=settings)
        return made.ranges["momentum"].top

    assert top({"optimizer": "momentum"}) == 3
    assert top({"optimizer": "adam"}) == 0
    assert top({}) == 3  # nothing is known against it
    # What is drawn stands before what is set.
    assert of(BEST, [0.5] * 5, settings={"optimizer": "adam"}).top == 3


def test_all_of_the_best_are_the_top() -> None:
    made = of(["momentum"] * 5, [0.5, 0.52, 0.48, 0.51, 0.49])
    assert made.sentences()[0].endswith("the top 5 lie far closer together than chance would put them")


def test_choices_that_not_every_trial_uses() -> None:
    space: Space = {"a": Categorical(("on", "off")), "b": Categorical(("x", "y", "z"))}
    trials = narrowings.trials({"a": ["on", "off", "on"], "b": ["x", "y", "x"]}, [3, 2, 1])
    made = narrow(space, trials, top=3, direction="maximize", first_space=space, used_by={"b": UsedBy("a", ("on",))})
    assert made.space == {"a": Categorical(("on", "off")), "b": Categorical(("x",))}
    words = "no evidence (0.33): of the best 3 the 2 that use it are spread as if b did not matter"
    assert made.ranges["b"].sentences() == (words,)


def test_an_expansion_never_reaches_a_value_that_is_left_out() -> None:
    momentum, eps = HYPERPARAMETERS["momentum"], HYPERPARAMETERS["eps"]
    assert reachable(momentum, Float(0.5, 0.9)) == (0.0, 0.95)
    assert reachable(eps, Float(0.5, 0.9)) == (0.25, None)
    assert reachable(eps, Float(0.5, 0.9, log=True)) == (None, None)  # 0 is infinitely far away
    assert reachable(HYPERPARAMETERS["lr_decay"], Float(0.5, 0.9)) == (0.25, 1.0)
    assert reachable(HYPERPARAMETERS["batch_size"], Int(5, 9)) == (1, None)
    assert reachable(HYPERPARAMETERS["optimizer"], Categorical(("sgd",))) == (None, None)
    x = np.linspace(0.5, 0.9, 60).tolist()
    up = narrowings.one(Float(0.5, 0.9), x, scores=x, expand=True, natural=reachable(momentum, Float(0.5, 0.9)))
    assert narrowings.numeric(up).high == 0.95
