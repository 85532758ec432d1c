"""The pure parts of the benchmark of scale: its model against what is known, its work, its tables."""

from __future__ import annotations

from itertools import pairwise

import pytest
import scale
from hypothesis import given, settings
from hypothesis import strategies as st
from scale import growth_table, seconds
from scale_growth import Grown, rows_of_trial
from scale_model import Call, Cost, Costs, Run, Work, costs, fit, flushes, simulate

FREE = Costs(Cost(), Cost(), Cost(), Cost(), 0.0)


def test_workers_that_are_served_at_once_never_wait() -> None:
    work = Work(0.5, 4)
    found = simulate(work, 10, FREE, batches=2000)
    assert found.rate == pytest.approx(10 * 4 / work.mean, rel=0.03)
    assert found.busy == pytest.approx(1.0, abs=0.03)
    assert found.runner == 0.0


def test_a_runner_that_is_never_idle_gives_what_its_rounds_cost() -> None:
    # Each trial costs 1 ms to claim and 3 ms to record, and nothing once a round: 250 a second, whoever waits.
    of = Costs(Cost(each=0.001), Cost(each=0.003), Cost(), Cost(), 0.0)
    found = simulate(Work(0.2, 4), 1000, of, batches=4000)
    assert found.rate == pytest.approx(250, rel=0.02)
    assert found.runner == pytest.approx(1.0, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.floats(0.05, 20.0), st.floats(0.0, 0.05), st.floats(0.0, 1e-4))
def test_no_more_than_the_workers_and_the_runner_can_do(
    slots: int, median: float, once: float, under_way: float
) -> None:
    work = Work(median, 4)
    of = Costs(Cost(once, 0.001, under_way), Cost(once), Cost(0.0, 0.0, under_way), Cost(once), 0.001)
    found = simulate(work, slots, of, batches=5 * slots)
    assert found.rate <= 1.25 * slots * 4 / work.mean
    assert found.rate <= 1.01 / 0.00125
    assert 0 <= found.runner <= 1.001


def test_costs_are_found_again_and_none_is_negative() -> None:
    true = Cost(0.002, 0.0005, 1e-5)
    sizes = [(4.0, 4.0), (16.0, 40.0), (4.0, 400.0), (128.0, 400.0), (4.0, 4000.0), (400.0, 4000.0)]
    found = fit([(items, under_way, true.of(items, under_way)) for items, under_way in sizes])
    assert (found.once, found.each, found.under_way) == pytest.approx((0.002, 0.0005, 1e-5))
    falling = fit([(items, under_way, 1.0 / (1 + under_way)) for items, under_way in sizes])
    assert min(falling.once, falling.each, falling.under_way) >= 0
    assert fit([]) == Cost()


def test_points_leave_at_most_every_second_and_never_at_the_end_of_a_short_batch() -> None:
    assert flushes(0.9, 10) == []
    assert [epoch for _, epoch in flushes(10.0, 10)] == list(range(1, 11))
    times = [at for at, _ in flushes(10.0, 100)]
    assert all(later - at >= 1.0 for at, later in pairwise(times))


def test_durations_have_the_mean_that_is_said() -> None:
    work = Work(2.0, 4)
    drawn = [work.duration(4 * batch) for batch in range(5000)]
    assert sum(drawn) / len(drawn) == pytest.approx(work.mean, rel=0.01)
    assert sorted(drawn)[2500] == pytest.approx(2.0, rel=0.01)
    assert {work.duration(number) for number in range(4)} == {work.duration(0)}


def test_a_run_says_its_rate_and_how_much_others_slowed_it() -> None:
    calls = {name: Call(10, 40, 0.4, 0.1) for name in ("claim", "record", "counts", "report")}
    run = Run(10, 4, 40, 2.0, {"runner": 0.5, "database": 0.3}, calls)
    assert (run.rate, run.rate_cpu, run.stretch) == pytest.approx((20, 50, 4))
    assert run.other == pytest.approx((0.5 - (0.4 - 0.3)) / 10)
    assert costs([run]).claim.of(4, 40) == pytest.approx(0.01)


def test_a_trial_is_ten_rows_and_seconds_read_well() -> None:
    assert rows_of_trial(2) == 10
    assert [seconds(value) for value in (0.00321, 0.41, 12.3, 123.4)] == ["3.2 ms", "0.41 s", "12 s", "123 s"]


def test_a_growing_stage_is_a_column_each() -> None:
    table = growth_table("sqlite", [Grown("sqlite", trials, 2, 1.0, 10**6, {"top 5": 0.2}) for trials in (1000, 2000)])
    assert "| bytes a trial | 1,000 | 500 |" in table
    assert "| top 5 | 0.2 s | 0.2 s |" in table


def test_the_command_line_knows_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert scale.parse(["--quick", "--only", "clock"]).only == ["clock"]
    assert scale.parse([]).trials == [10_000, 100_000, 1_000_000]
    with pytest.raises(SystemExit):
        scale.parse(["--only", "clok"])
    assert "invalid choice" in capsys.readouterr().err
