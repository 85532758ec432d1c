"""Hits survive being text, and other text is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import BadInput
from hpsearch.statistics.hits import as_number, matching, pack, unpack


@given(hits=st.lists(st.booleans(), min_size=1, max_size=100))
def test_unpacking_gives_back_what_was_packed(hits: list[bool]) -> None:
    text = pack(np.array(hits))
    assert unpack(text, len(hits)).tolist() == hits
    assert len(text) == 4 * -(-len(hits) // 24)


@pytest.mark.parametrize("text", ["?", "AAA", "é", "AAAA", ""])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="hits"):
        unpack(text, 100)


def test_a_whole_number_has_the_first_example_as_its_highest_bit() -> None:
    hits = np.array([True, False, True, True, False])
    assert as_number(pack(hits), 5) == 0b10110
    assert as_number(pack(np.ones(17, dtype=bool)), 17) == 2**17 - 1
    with pytest.raises(BadInput, match="of 8 examples at most, not of 9"):
        as_number(pack(hits), 9)
    assert matching(pack(hits), 5, 0.6) == 0b10110
    assert [matching(pack(hits), 5, 0.8), matching("no base64!", 5, None)] == [None, None]
