from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.hyperparameters import ALSO_CALLED, HYPERPARAMETERS, hidden_sizes

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
        assert kind.type != "categorical" or (kind.low, kind.high) == (None, None)
