from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.nn import INITIALIZERS, OPTIMIZERS, SCHEDULES
from hpsearch.objectives.network.kind import ALSO_CALLED, HYPERPARAMETERS, LR_SCHEDULES, hidden_sizes, uses
from hpsearch.text import either

layers = st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 9)), min_size=1, max_size=5)


@given(layers=layers)
def test_the_short_form_says_every_layer(layers: list[tuple[int, int]]) -> None:
    text = "-".join(f"{units}x{many}" if many > 1 else str(units) for units, many in layers)
    assert hidden_sizes(text) == tuple(itertools.chain.from_iterable([units] * many for units, many in layers))


@pytest.mark.parametrize(
    ("text", "sizes"), [("100x6", (100,) * 6), ("256-128", (256, 128)), ("50", (50,)), ("64x2 - 32", (64, 64, 32))]
)
def test_examples(text: str, sizes: tuple[int, ...]) -> None:
    assert hidden_sizes(text) == sizes


@pytest.mark.parametrize("text", ["", "0", "100x0", "x6", "100x", "-", "100-", "1e2", "100,50", "1.5", "٣", "100X6"])
def test_what_is_neither_form(text: str) -> None:
    with pytest.raises(ValueError, match="write 100x6, 256-128 or"):
        hidden_sizes(text)


def test_other_names_mean_hyperparameters() -> None:
    assert set(ALSO_CALLED.values()) <= set(HYPERPARAMETERS)
    assert not set(ALSO_CALLED) & set(HYPERPARAMETERS)
    for kind in HYPERPARAMETERS.values():
        assert kind.type not in ("bool", "categorical") or (kind.low, kind.high) == (None, None)


def test_what_uses_a_hyperparameter_is_known_to_the_network_core() -> None:
    assert set(LR_SCHEDULES) == set(SCHEDULES)
    known = {"optimizer": OPTIMIZERS, "initializer": INITIALIZERS, "lr_schedule": SCHEDULES}
    for kind in HYPERPARAMETERS.values():
        if kind.used_by is not None:
            assert set(kind.used_by.values) < set(known[kind.used_by.name])
    for name, optimizer in OPTIMIZERS.items():
        of_it = {own for own, kind in HYPERPARAMETERS.items() if kind.used_by and kind.used_by.name == "optimizer"}
        used = {own for own in of_it if uses(own, {"optimizer": name})}
        assert used | {"lr", "weight_decay"} == set(optimizer.hyperparameters)


def test_who_uses_what() -> None:
    assert uses("momentum", {"optimizer": "nesterov", "momentum": 0.5})
    assert not uses("momentum", {"optimizer": "adam", "momentum": 0.5})
    assert uses("momentum", {})  # where nothing is known
    assert uses("lr", {"optimizer": "adam"})
    assert uses("somebody_elses", {"optimizer": "adam"})


@pytest.mark.parametrize(
    ("name", "inside", "outside", "says"),
    [
        ("lr", 0, -0.1, "-0.1 lies below 0, the least that it can be"),
        ("momentum", 0.0, 1.0, "1.0 is not below 1"),
        ("dropout", 0.999, 1, "1 is not below 1"),
        ("eps", 1e-300, 0.0, "0.0 is not above 0"),
        ("lr_decay", 1, 1.5, "1.5 lies above 1, the most that it can be"),
        ("lr_decay", 1e-9, 0, "0 is not above 0"),
        ("batch_size", 1, 0, "0 lies below 1, the least that it can be"),
    ],
)
def test_bounds(name: str, inside: float, outside: float, says: str) -> None:
    assert HYPERPARAMETERS[name].misfit(inside) is None
    assert HYPERPARAMETERS[name].misfit(outside) == says


def test_values_in_words() -> None:
    assert [either("a"), either("ab"), either("abc")] == ["a", "a or b", "a, b or c"]
