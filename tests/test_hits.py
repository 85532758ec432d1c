"""Hits survive being text, and other text is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import BadInput
from hpsearch.hits import pack, unpack


@given(hits=st.lists(st.booleans(), min_size=1, max_size=100))
def test_unpacking_gives_back_what_was_packed(hits: list[bool]) -> None:
    text = pack(np.array(hits))
    assert unpack(text, len(hits)).tolist() == hits
    assert len(text) == 4 * -(-len(hits) // 24)


@pytest.mark.parametrize("text", ["?", "AAA", "é", "AAAA", ""])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="hits"):
        unpack(text, 100)
