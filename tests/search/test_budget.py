"""The forecast of more trials in words, and when there were enough."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from made_stages import make

from hpsearch.search.budget import Budget, budget, forecast_words
from hpsearch.statistics import Interval
from hpsearch.statistics.budget import Forecast
from hpsearch.store import open_store


def test_a_stage_has_a_forecast_of_as_many_trials_again(tmp_path: Path) -> None:
    with closing(open_store(str(tmp_path / "a.db"), create=True)) as store:
        stage = make(store, lambda number, _: 0.7 + 0.2 * (number * 37 % 100) / 100)
        of = budget(store, stage)
        assert of is not None
        assert (of.forecast.more, of.finished, of.verdict) == (100, 100, "enough")
        assert 0 < of.forecast.gain < of.forecast.interval.high <= 1 - 0.9
        assert str(of.sentence).startswith("100 more trials of made/stage-01: best validation accuracy +0.005 (")
        assert str(of.sentence).endswith("; less than one standard error of a score, 0.03")


def test_trials_that_a_refinement_proposed_have_none(tmp_path: Path) -> None:
    with closing(open_store(str(tmp_path / "a.db"), create=True)) as store:
        stage = make(store, lambda number, _: 0.7 + 0.2 * (number * 37 % 100) / 100)
        assert budget(store, replace(stage, rule={"refine": {"sampler": "tpe", "batch": 10}})) is None


def test_few_trials_have_none(tmp_path: Path) -> None:
    with closing(open_store(str(tmp_path / "a.db"), create=True)) as store:
        assert budget(store, make(store, [0.5, 0.6, 0.7], trials=3)) is None


@pytest.mark.parametrize(
    ("gain", "high", "words"),
    [
        (0.003, 0.008, "+0.003 (0.000 to 0.008)"),
        (3e-6, 8e-6, "+0.000003 (0.000000 to 0.000008)"),
        (12.3, 45.6, "+12.30 (0.00 to 45.60)"),
        (1234.5, 5678.9, "+1234 (0 to 5679)"),
    ],
)
def test_a_gain_has_the_digits_that_it_needs(gain: float, high: float, words: str) -> None:
    assert forecast_words(Forecast(100, gain, Interval(0.0, high)), "maximize") == words


def test_of_a_loss_the_best_falls() -> None:
    forecast = Forecast(100, 0.01, Interval(0.0, 0.02))
    assert forecast_words(forecast, "minimize") == "-0.010 (-0.020 to 0.000)"
    assert Budget("a/stage-01", 100, "minimize", "validation_loss", forecast, None).verdict is None
