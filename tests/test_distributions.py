"""Ranges in the forms of other libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna.distributions as od
import pytest

from hpsearch.distributions import parameter_of
from hpsearch.errors import BadSpace
from hpsearch.space import Categorical, Float, Int, Parameter

stats = pytest.importorskip("scipy.stats")

FORMS: list[tuple[Any, Parameter]] = [
    (Float(0.0, 1.0), Float(0.0, 1.0)),
    (od.FloatDistribution(1e-3, 1.0, log=True), Float(1e-3, 1.0, log=True)),
    (od.FloatDistribution(0.0, 1.0, step=0.25), Float(0.0, 1.0, step=0.25)),
    (od.IntDistribution(1, 9, step=2), Int(1, 9, step=2)),
    (od.CategoricalDistribution(["a", None]), Categorical(("a", None))),
    (stats.loguniform(1e-3, 10.0), Float(1e-3, 10.0, log=True)),
    (stats.reciprocal(1.0, 100.0), Float(1.0, 100.0, log=True)),
    (stats.uniform(2.0, 3.0), Float(2.0, 5.0)),
    (stats.uniform(), Float(0.0, 1.0)),
    (stats.randint(1, 10), Int(1, 9)),
    ([1, 2.5, "a", True], Categorical((1, 2.5, "a", "True #3"))),
    (np.logspace(-2, 0, 3), Categorical((0.01, 0.1, 1.0))),
    (np.array([1, 2, 2]), Categorical((1, 2))),
    ([(10,), (10, 10)], Categorical(("(10,)", "(10, 10)"))),
]


@pytest.mark.parametrize(("given", "parameter"), FORMS, ids=[repr(parameter) for _, parameter in FORMS])
def test_a_range_is_known_in_every_form(given: Any, parameter: Parameter) -> None:
    assert parameter_of("x", given)[0] == parameter


def test_choices_that_are_objects_are_kept_by_their_text() -> None:
    function, pair = len, (1, 2)
    parameter, objects = parameter_of("x", [function, pair, [1, 2], "plain", float("nan")])
    assert isinstance(parameter, Categorical)
    assert parameter.choices == ("<built-in function len>", "(1, 2)", "[1, 2]", "plain", "nan")
    assert objects["(1, 2)"] is pair
    assert objects["<built-in function len>"] is function
    assert "plain" not in objects


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "x: 3 is no range; give hpsearch.Float"),
        ("abc", "x: 'abc' is no range"),
        ([], "x: an empty list"),
        (
            stats.expon(scale=100),
            r"x: .* expon cannot be narrowed; .*: loguniform\(1.01, 461\)",
        ),
        (stats.norm(), r"norm cannot be narrowed; .*: uniform\(-2.33, 4.65\)"),
        (stats.loguniform(1, 10, loc=5), "loguniform cannot be narrowed"),
    ],
)
def test_what_is_no_range_is_refused(given: Any, message: str) -> None:
    with pytest.raises(BadSpace, match=message):
        parameter_of("x", given)
