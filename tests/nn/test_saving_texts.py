"""The texts of a file from anybody make sense, or the file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from spoilt import RAW, contents, loaded, refused

from hpsearch.errors import BadInput

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
KEYS = [
    *(("architecture", key) for key in ("format", "sizes", "activation", "batch_norm", "dtype", "versions")),
    *(("preprocessing", key) for key in ("class_names", "values")),
    *(("preprocessing", "values", key) for key in ("shape", "dtype", "divisor", "low", "high")),
    ("about", "study"),
]


@given(key=st.sampled_from(KEYS), value=JSON)
def test_any_json_in_any_place_gives_a_network_or_a_refusal(
    whole: bytes, path: Path, key: tuple[str, ...], value: object
) -> None:
    arrays = contents(whole)
    text = json.loads(str(arrays[key[0]]))
    inner = text
    for name in key[1:-1]:
        inner = inner[name]
    inner[key[-1]] = value
    np.savez(path, **{**arrays, key[0]: np.array(json.dumps(text))})
    found = loaded(path)
    if found is not None:
        assert found.network.sizes == (6, 2, 3)
        json.dumps(dict(found.about), allow_nan=False, ensure_ascii=False).encode()
        try:
            assert found.probabilities(RAW).shape == (2, 3)
        except BadInput as error:
            said = str(error)
            event(said[:20])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("architecture", "sizes"), [6, 2.0, 3]),
        (("architecture", "sizes"), [6, True, 3]),
        (("architecture", "sizes"), [6, -2, 3]),
        (("architecture", "sizes"), [6]),
        (("architecture", "sizes"), [10**9, 10**9, 3]),
        (("architecture", "sizes"), [10**400, 2, 3]),
        (("architecture", "sizes"), [1] * 100_000),
        (("architecture", "format"), True),
        (("architecture", "format"), 1.0),
        (("architecture", "format"), 0),
        (("architecture", "activation"), "__class__"),
        (("architecture", "activation"), ["relu"]),
        (("architecture", "batch_norm"), 1),
        (("architecture", "batch_norm"), False),
        (("architecture", "dtype"), "float64"),
        (("architecture", "dtype"), "object"),
        (("architecture", "versions"), {"numpy": 2}),
        (("preprocessing", "class_names"), ["a", "b"]),
        (("preprocessing", "class_names"), [1, 2, 3]),
        (("preprocessing", "class_names"), ["a", "b", "\ud800"]),
        (("preprocessing", "values"), {"shape": [6]}),
        (("preprocessing", "values", "shape"), [10**9, 10**9]),
        (("preprocessing", "values", "shape"), []),
        (("preprocessing", "values", "divisor"), 0.0),
        (("preprocessing", "values", "high"), float("nan")),
        (("about", "score"), float("inf")),
    ],
)
def test_texts_that_make_no_sense_are_refused(whole: bytes, path: Path, key: tuple[str, ...], value: object) -> None:
    arrays = contents(whole)
    text = json.loads(str(arrays[key[0]]))
    inner = text
    for name in key[1:-1]:
        inner = inner[name]
    inner[key[-1]] = value
    np.savez(path, **{**arrays, key[0]: np.array(json.dumps(text))})
    refused(path, "is not a saved network, or is damaged")


def test_json_that_nests_without_end_is_refused(whole: bytes, path: Path) -> None:
    np.savez(path, **{**contents(whole), "about": np.array("[" * 100_000)})
    refused(path, "its about is no JSON")
    np.savez(path, **{**contents(whole), "about": np.array('{"a": ' + "9" * 10_000 + "}")})
    refused(path, "its about is no JSON")
    np.savez(path, **{**contents(whole), "about": np.array("[]")})
    refused(path, "its about is no JSON object")
