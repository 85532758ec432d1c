"""Stages and those that they came from."""

from __future__ import annotations

import pytest

from hpsearch.records import Stage, ancestry


def stage(number: int, parent: int | None) -> Stage:
    return Stage("made", number, "maximize", 0, {}, {}, parent, study_id=number)


@pytest.mark.parametrize(
    ("parents", "last", "line"),
    [
        ({1: None, 2: 1, 3: 1, 4: 2}, 4, [1, 2, 4]),
        ({1: None, 2: 1}, 1, [1]),
        ({2: 1, 3: 2}, 3, [2, 3]),  # the first stage is gone
        ({1: 2, 2: 1}, 2, [1, 2]),  # by other means: each the other's parent
    ],
)
def test_a_stage_s_line_begins_with_the_first_and_ends(
    parents: dict[int, int | None], last: int, line: list[int]
) -> None:
    stages = [stage(number, parent) for number, parent in parents.items()]
    found = ancestry(stages, next(one for one in stages if one.number == last))
    assert [one.number for one in found] == line
