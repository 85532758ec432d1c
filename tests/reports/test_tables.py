from __future__ import annotations

import pytest

from hpsearch.reports.tables import share_error


def test_the_standard_error_of_the_book_s_accuracies() -> None:
    assert share_error(0.8, 100) == pytest.approx(0.04)
    assert share_error(0.5, 10_000) == pytest.approx(0.005)
    assert share_error(1.0, 100) == 0
