"""Hypothesis strategies of hyperparameters' ranges."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from hpsearch.space import Categorical, Float, Int, Parameter


@st.composite
def floats(draw: st.DrawFn) -> Float:
    log = draw(st.booleans())
    least = 1e-300 if log else -1e300
    low, high = sorted(draw(st.lists(st.floats(least, 1e300), min_size=2, max_size=2, unique=True)))
    limit = draw(st.none() | st.tuples(st.floats(-1e305, low), st.floats(high, 1e305)))
    return Float(low, high, log, limit)


@st.composite
def stepped_floats(draw: st.DrawFn) -> Float:
    """Such as 0.25 .. 1.5 in steps of 0.05, in numbers as people write them."""
    places = draw(st.integers(0, 4))
    low, step = draw(st.integers(-1000, 1000)), draw(st.integers(1, 50))
    high = low + step * draw(st.integers(1, 200))
    low_, high_, step_ = (float(Decimal(number).scaleb(-places)) for number in (low, high, step))
    return Float(low_, high_, step=step_)


@st.composite
def ints(draw: st.DrawFn) -> Int:
    log = draw(st.booleans())
    low = draw(st.integers(1, 10**6) if log else st.integers(-(10**15), 10**15))
    step = 1 if log else draw(st.integers(1, 100))
    high = low + step * draw(st.integers(1, 1000))
    limit = draw(st.none() | st.tuples(st.integers(low - 100, low), st.integers(high, high + 100)))
    return Int(low, high, log, step, limit)


choices = st.lists(
    st.none() | st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False), min_size=1
)
categoricals = choices.map(lambda found: Categorical(tuple(dict.fromkeys(found))))
ranges: st.SearchStrategy[Float | Int] = floats() | stepped_floats() | ints()
parameters: st.SearchStrategy[Parameter] = ranges | categoricals
