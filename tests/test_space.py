from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import create_trial
from space_strategies import parameters, ranges

from hpsearch.errors import BadSpace
from hpsearch.space import (
    Categorical,
    Float,
    Int,
    Parameter,
    Space,
    check_conditions,
    delivered,
    describe,
    from_scale,
    parameter_from_dict,
    parameter_to_dict,
    per_value,
    present,
    space_from_dict,
    space_to_dict,
    stepped,
    to_distribution,
    to_scale,
    without_none,
)


@given(space=st.dictionaries(st.text(), parameters))
def test_a_space_round_trips_through_json(space: dict[str, Parameter]) -> None:
    plain = json.loads(json.dumps(space_to_dict(space), allow_nan=False))
    again = space_from_dict(plain)
    assert again == space
    assert list(again) == list(space)
    for name, parameter in space.items():
        assert type(again[name]) is type(parameter)
        assert repr(again[name]) == repr(parameter)  # True is not 1, and 1 not 1.0


@given(parameter=parameters)
def test_only_what_says_something_is_written(parameter: Parameter) -> None:
    plain = parameter_to_dict(parameter)
    assert ("limit" in plain) == (getattr(parameter, "limit", None) is not None)
    assert ("step" in plain) == (getattr(parameter, "step", None) is not None)


@given(parameter=ranges, share=st.floats(0, 1))
def test_the_scale_has_an_inverse(parameter: Float | Int, share: float) -> None:
    low, high = to_scale(parameter, parameter.low), to_scale(parameter, parameter.high)
    position = low * (1 - share) + high * share
    value = from_scale(parameter, position)
    assert math.isclose(to_scale(parameter, value), position, rel_tol=1e-9, abs_tol=1e-9)
    for bound in (parameter.low, parameter.high):
        assert math.isclose(from_scale(parameter, to_scale(parameter, bound)), bound, rel_tol=1e-9)
    assert low < high or math.isclose(parameter.low, parameter.high, rel_tol=1e-9)


def test_the_scale_is_log10() -> None:
    assert to_scale(Float(1e-6, 1e-2, log=True), 1e-4) == -4
    assert from_scale(Int(1, 1000, log=True), 2.0) == 100
    assert to_scale(Float(-1.0, 1.0), 0.25) == 0.25


@given(parameter=parameters)
def test_optunas_distribution_is_the_same_range(parameter: Parameter) -> None:
    distribution: BaseDistribution = to_distribution(parameter)
    distribution_to_json(distribution)  # as it is stored

    def contains(value: object) -> bool:
        try:
            create_trial(params={"x": value}, distributions={"x": distribution}, value=0.0)
        except ValueError:
            return False
        return True

    if isinstance(parameter, Categorical):
        assert all(contains(choice) for choice in parameter.choices)
        return
    assert contains(parameter.low)
    assert contains(parameter.high)
    for name in ("low", "high", "log"):
        assert getattr(distribution, name) == getattr(parameter, name)
    outside = [math.nextafter(parameter.low, -math.inf), math.nextafter(parameter.high, math.inf)]
    if parameter.step is not None:
        outside = [parameter.low - parameter.step, parameter.high + parameter.step]
        outside += [parameter.low + 1] if parameter.step > 1 else []
        assert contains(stepped(parameter, 1))
    assert not any(map(contains, outside))


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        ({"low": 1.0, "high": 1.0}, "low = 1.0 is not below high = 1.0"),
        ({"low": -1.0, "high": 1.0, "log": True}, "low = -1.0 on a log scale"),
        ({"low": math.nan, "high": 1.0}, "low = nan is not a finite number"),
        ({"low": 0.0, "high": math.inf}, "high = inf is not a finite number"),
        ({"low": "1", "high": 2.0}, "low = '1' is not a finite number"),
        ({"low": False, "high": True}, "low = False is not a finite number"),
        ({"low": 1.0, "high": 10**400}, "high = 1000"),
        ({"low": 1.0}, "'high' is missing"),
        ({}, "'low' is missing"),
        ({"type": "categorical"}, "'choices' is missing"),
        ({"low": 1.0, "hihg": 2.0}, "'hihg' is not a key of a parameter of type float; did you mean 'high'?"),
        ({"choices": ["a"], "logg": True}, "'logg' is not a key of a parameter of type categorical"),
        ({"low": 1.0, "high": 2.0, "log": 1}, "log = 1; give true or false"),
        ({"type": "integer", "low": 1, "high": 2}, "type = 'integer'; did you mean 'int'?"),
        ({"type": [], "low": 1, "high": 2}, "type = []"),
        ({"type": "int", "low": 1.5, "high": 3}, "low = 1.5 of an int range"),
        ({"type": "int", "low": 1, "high": 10, "step": 4}, "step = 4 does not divide high - low = 9; make high 9"),
        ({"type": "int", "low": 1, "high": 10, "step": 0}, "step = 0; a step is at least 1"),
        ({"low": 0, "high": 1, "step": 0.3}, "step = 0.3 does not divide high - low = 1; make high 0.9"),
        ({"low": 0, "high": 1, "step": 3}, "step = 3 does not divide high - low = 1; make high 3"),
        ({"low": 1, "high": 2, "step": 0.5, "log": True}, "step = 0.5 on a log scale; leave out one of them"),
        ({"low": 1, "high": 2, "step": "a"}, "step = 'a'; give a number"),
        ({"type": "int", "low": 1, "high": 10, "step": 3.0}, "step = 3.0; give a whole number"),
        ({"type": "int", "low": 1, "high": 10, "step": True}, "step = True; give a whole number"),
        ({"type": "int", "low": 1, "high": 9, "step": 2, "log": True}, "step = 2 on a log scale"),
        ({"low": 1.0, "high": 2.0, "limit": [1.5, 3.0]}, "limit = [1.5, 3.0] does not contain the range [1.0, 2.0]"),
        ({"low": 1.0, "high": 2.0, "limit": [0.0]}, "limit = [0.0]; give two finite numbers, [lowest, highest]"),
        ({"low": 1.0, "high": 2.0, "limit": ["a", 3.0]}, "limit = ['a', 3.0]; give two finite numbers"),
        ({"choices": []}, "give at least one choice"),
        ({"choices": "relu"}, "choices = 'relu'; give a list"),
        ({"choices": ["a", "b", "a"]}, "choice 'a' is repeated"),
        ({"choices": [1, True]}, "choice True is repeated"),
        ({"choices": [1, 1.0]}, "choice 1.0 is repeated"),
        ({"choices": [["a"]]}, "choice ['a'] is not a string, number or boolean"),
        ({"choices": ["a", math.nan]}, "choice nan is not a finite number"),
        ({"choices": ["a"], "when": "sgd"}, "when = 'sgd'; give a parameter and its values"),
        ({"choices": ["a"], "when": {}}, "when = {}; give a parameter and its values"),
        ({"low": 0, "high": 1, "when": {"o": []}}, "when = { o = [] }; give a list of strings, numbers or booleans"),
        ({"low": 0, "high": 1, "when": {"o": [["a"]]}}, "when = { o = [['a']] }; give a list"),
    ],
)
def test_refused(plain: dict[str, Any], says: str) -> None:
    with pytest.raises(BadSpace, match=re.escape(says)) as caught:
        parameter_from_dict(plain)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 300


def test_what_is_close_and_allowed() -> None:
    assert parameter_from_dict({"choices": ["1", 1]}) == Categorical(("1", 1))
    for written, range_ in (
        ({"low": 2, "high": 8}, Int(2, 8)),
        ({"low": 1, "high": 64, "log": True}, Int(1, 64, log=True)),
        ({"low": 2, "high": 8, "step": 2}, Int(2, 8, step=2)),
        ({"low": 2, "high": 8, "step": 0.5}, Float(2, 8, step=0.5)),
        ({"low": 2, "high": 8.0}, Float(2, 8)),
    ):
        assert repr(parameter_from_dict(written)) == repr(range_)
    assert repr(parameter_from_dict({"low": 1, "high": 2}, default_type="float")) == repr(Float(1, 2))
    assert repr(parameter_from_dict({"type": "int", "low": 1.0, "high": 3.0})) == repr(Int(1, 3))
    assert parameter_from_dict({"low": 1.0, "high": 2.0, "limit": (1.0, 2.0)}) == Float(1.0, 2.0, limit=(1.0, 2.0))


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        (Float(0.002, 0.01, log=True), "0.002 .. 0.01 (log)"),
        (Float(-0.5, 0.123456), "-0.5 .. 0.1235"),
        (Float(-0.5, 0.7, step=0.1), "-0.5 .. 0.7 (step 0.1)"),
        (Int(20, 200, step=20), "20 .. 200 (step 20)"),
        (Int(1, 100, log=True), "1 .. 100 (log)"),
        (Int(1, 100), "1 .. 100"),
        (Categorical(("relu", "tanh")), "{relu, tanh}"),
        (Categorical((True, 2, 0.5)), "{true, 2, 0.5}"),
    ],
)
def test_described(parameter: Parameter, text: str) -> None:
    assert describe(parameter) == text


SGD = {"optimizer": ("sgd",)}
CONDITIONAL: Space = {
    "momentum": Float(0.5, 0.99, when={"optimizer": ("sgd", "nesterov")}),
    "optimizer": Categorical(("sgd", "nesterov", "adam")),
    **per_value("wd", "optimizer", {"sgd": Float(1e-5, 1e-2, log=True), "adam": Float(1e-6, 1e-3, log=True)}),
    "layers": Int(1, 3, when=SGD),
    "width": Int(8, 64, when={"layers": (2, 3)}),
}


def test_a_condition_is_plain_data_and_none_where_there_is_none() -> None:
    plain = json.loads(json.dumps(space_to_dict(CONDITIONAL)))
    assert plain["momentum"]["when"] == {"optimizer": ["sgd", "nesterov"]}
    assert "when" not in plain["optimizer"]
    assert space_from_dict(plain) == CONDITIONAL
    assert hash(CONDITIONAL["momentum"]) == hash(Float(0.5, 0.99))
    assert parameter_from_dict({"low": 0.0, "high": 1, "when": {"optimizer": "sgd"}}) == Float(0, 1, when=SGD)


def test_none_is_a_choice() -> None:
    assert parameter_from_dict({"choices": ["sqrt", 3], "none": True}) == Categorical(("sqrt", 3, None))
    assert parameter_from_dict({"choices": [None, 0]}) == Categorical((None, 0))
    assert describe(Categorical((None, True))) == "{none, true}"


def test_values_hold_where_the_conditions_do_in_the_order_of_the_space() -> None:
    every: dict[str, Any] = {"width": 9, "layers": 2, "optimizer": "sgd", "momentum": 0.7, "wd[sgd]": 1e-3}
    every |= {"wd[adam]": 1e-4, "unknown": 1}
    kept = present(CONDITIONAL, every)
    assert list(kept) == ["momentum", "optimizer", "wd[sgd]", "layers", "width"]
    assert delivered(CONDITIONAL, kept)["wd"] == 1e-3
    assert list(present(CONDITIONAL, {**every, "layers": 1})) == ["momentum", "optimizer", "wd[sgd]", "layers"]
    assert list(present(CONDITIONAL, {**every, "optimizer": "adam"})) == ["optimizer", "wd[adam]"]
    assert present(CONDITIONAL, {"momentum": 0.7}) == {}


def test_a_row_tells_a_missing_value_from_the_choice_none() -> None:
    space: Space = {"o": Categorical(("a", None)), "x": Categorical((1, None), when={"o": ("a",)}), "y": Float(0, 1)}
    assert present(space, {"o": "a", "x": None, "y": 0.5}) == {"o": "a", "x": None, "y": 0.5}
    assert present(space, {"o": None, "x": None, "y": math.nan}) == {"o": None}
    assert present(space, {"o": math.nan, "y": None}) == {"o": None}  # as pandas has it
    named = without_none(space)
    assert named == {**space, "o": Categorical(("a", "none")), "x": Categorical((1, "none"), when={"o": ("a",)})}
    assert present(named, {"o": "a", "x": "none", "y": None}) == {"o": "a", "x": "none"}
    assert without_none(CONDITIONAL) is CONDITIONAL


def test_only_a_range_per_value_is_delivered_by_another_name() -> None:
    odd: Space = {"x[0]": Float(0, 1), "y[sgd]": Float(0, 1, when={"optimizer": ("adam",)})}
    assert delivered(odd, {"x[0]": 0.5, "y[sgd]": 0.5}) == {"x[0]": 0.5, "y[sgd]": 0.5}
    by_number = per_value("a", "n", {1: Float(0, 1), None: Float(0, 1), "b": Float(0, 1)})
    assert list(by_number) == ["a[1]", "a[none]", "a[b]"]
    assert delivered(by_number, {"a[none]": 0.25}) == {"a": 0.25}
    both: Space = {"a[1][sgd]": Float(0, 1, when={"n": (1,), "optimizer": ("sgd",)})}
    assert delivered(both, {"a[1][sgd]": 0.25}) == {"a": 0.25}


@pytest.mark.parametrize(
    ("space", "says"),
    [
        ({"m": Float(0, 1, when={"optimiser": ("a",)}), "optimizer": Categorical(("a",))}, "did you mean 'optimizer'?"),
        ({"m": Float(0, 1, when={"x": (0.5,)}), "x": Float(0, 1)}, "x is a float; give it choices"),
        ({"m": Float(0, 1, when={"o": ("c",)}), "o": Categorical(("a", "b"))}, "{ o = 'c' }: o is one of {a, b}"),
        ({"m": Float(0, 1, when={"n": (9,)}), "n": Int(1, 3)}, "m: when = { n = 9 }: n is one of 1 .. 3"),
        (
            {"a": Int(1, 2, when={"b": (1,)}), "b": Int(1, 2, when={"c": (1,)}), "c": Int(1, 2, when={"a": (1,)})},
            "the conditions form a cycle: ",
        ),
        ({"a": Int(1, 2, when={"a": (1,)})}, "the conditions form a cycle: a -> a; leave out one of them"),
    ],
)
def test_conditions_that_cannot_be(space: Space, says: str) -> None:
    check_conditions(CONDITIONAL)
    with pytest.raises(BadSpace, match=re.escape(says)) as caught:
        check_conditions(space)
    assert len(str(caught.value).splitlines()) == 1
