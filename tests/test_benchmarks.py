"""The benchmarks' arithmetic, workloads and model; no peer is imported, nothing is timed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import adopting
import narrowing
import numpy as np
import pytest
import recommending
import run
from contenders.book_loop import DictNetwork
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import Figure, Sample, Spread, interleave, ratio, spread
from scale import Costs, Work, fit, simulate
from searches import PEERS
from workloads import BOOK, LARGE, SMALL, WORKLOADS, Assignment, Workload, for_all_trials, learned

from hpsearch.space import Float
from hpsearch.study_file import StudyFile, differences, parse, shipped


def study(workload: Workload) -> StudyFile:
    return parse(tomllib.loads(workload.study_file()), source=workload.name)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_a_workload_s_study_file_says_the_same_as_its_numbers(workload: Workload) -> None:
    read = study(workload)
    data, network, training = read.sections.data, read.sections.network, read.sections.training
    assert (read.name, data.train, data.validation) == (workload.name, workload.train, workload.validation)
    assert (network.hidden, training.optimizer) == (workload.hidden, workload.optimizer)
    assert (training.batch_size, training.epochs) == (workload.batch_size, workload.epochs)
    assert read.trials.count == workload.trials
    ranges = {"lr": workload.lr, "weight_decay": workload.weight_decay}
    assert read.space == {name: Float(low, high, log=True) for name, (low, high) in ranges.items()}


def test_the_book_s_workload_is_the_study_file_that_ships_and_the_small_one_differs_in_its_layers() -> None:
    book = parse(tomllib.loads(shipped()["mnist"].read_text(encoding="utf-8")), source="mnist")
    assert list(differences(book.to_dict(), study(BOOK).to_dict())) == ["name: 'mnist' -> 'book'"]
    changed = differences(study(BOOK).to_dict(), study(SMALL).to_dict())
    assert [line.partition(":")[0] for line in changed] == ["name", "network.hidden"]


def test_a_workload_s_flops_by_hand() -> None:
    first, second, last = 2 * 784 * 256, 2 * 256 * 128, 2 * 128 * 10
    forward = first + second + last
    an_epoch = 8000 * (forward + first + 2 * (second + last)) + 1000 * forward
    assert LARGE.flops() == 20 * 5 * an_epoch
    assert LARGE.of(3).flops() == 3 * LARGE.flops() // 20
    # An input less spares its products forward, and in the gradient of its weights.
    assert LARGE.flops() - LARGE.flops(inputs=783) == 20 * 5 * 2 * 256 * (2 * 8000 + 1000)


def test_an_assignment_survives_the_command_line() -> None:
    assignment = Assignment(SMALL.of(7), 3, 2, "data.npz", "folder")
    assert Assignment.given([*assignment.words, "best"]) == assignment


def test_a_ratio_is_of_medians_and_its_ends_are_of_single_rounds() -> None:
    assert ratio([10.0, 30.0, 20.0], [5.0, 10.0, 4.0]) == Spread(20 / 5, 2.0, 5.0)


def test_scaling_to_all_trials_leaves_the_start_as_it_is() -> None:
    assert for_all_trials(12.0, 10.0, measured=25, trials=100) == 2.0 + 40.0


@pytest.mark.parametrize(
    ("figure", "row"),
    [
        (Figure("a", Spread(2.345, 2, 2.5), asked=2.5), ("a", "at least 2.5x", "2.35x", "2 .. 2.5", "**no**")),
        (Figure("b", spread([2.5]), asked=2.5), ("b", "at least 2.5x", "2.5x", "2.5 .. 2.5", "yes")),
        (Figure("c", spread([412.4]), "MB", 500, "at most"), ("c", "at most 500 MB", "412 MB", "412 .. 412", "yes")),
        (Figure("d", spread([1.1]), "s", 1, "at most"), ("d", "at most 1 s", "1.1 s", "1.1 .. 1.1", "**no**")),
        (Figure("e", spread([0.5]), ""), ("e", "-", "0.5", "0.5 .. 0.5", "-")),
    ],
)
def test_a_figure_shows_what_was_asked_and_measured(figure: Figure, row: tuple[str, ...]) -> None:
    assert figure.row == (*row, "-", "-", "-")


def test_every_contender_comes_first_in_its_turn_and_is_measured_once_a_round() -> None:
    order: list[str] = []

    def measure(name: str, number: int) -> Sample:
        order.append(name)
        return {"seconds": number}

    samples = interleave("test", {name: partial(measure, name) for name in "abc"}, rounds=4)
    assert "".join(order[::3]) == "abca"
    assert samples == {name: [{"seconds": number} for number in range(4)] for name in "abc"}


def test_who_learns_as_well_is_told_from_who_does_not() -> None:
    ours = [0.1] * 95 + [0.80, 0.79, 0.78, 0.77, 0.76]
    peers = {"a third": ours[::3], "worse": [0.1] * 95 + [0.68] * 5, "better": [0.9] * 100, "too few": [0.1] * 4}
    rows = learned("book", 100, {"us": ours, **peers})
    assert [row[-1] for row in rows] == ["-", "yes", "**no**", "**no**", "-"]
    assert rows[0] == ("book", "us", "100", "0.780", f"{2 * np.sqrt(0.78 * 0.22 / 100):.3f}", "-")


def test_the_book_s_loop_has_the_gradient_of_its_loss() -> None:
    rng = np.random.default_rng(1)
    network = DictNetwork((6, 5, 4), 0.1, rng=rng)
    images, labels = rng.standard_normal((8, 6)), rng.integers(4, size=8)
    _, grads = network.gradient(images, labels)
    for name, values in network.params.items():
        at = (0, *[1] * (values.ndim - 1))[-values.ndim :]
        kept, step = values[at], 1e-6
        losses = []
        for sign in (1, -1):
            values[at] = kept + sign * step
            losses.append(network.gradient(images, labels)[0])
        values[at] = kept
        assert grads[name][at] == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-5, abs=1e-8)


def test_what_is_asked_of_a_peer_is_asked_of_workloads_that_there_are() -> None:
    assert {name for peer in PEERS for name in peer.asked} == set(WORKLOADS)


def test_the_command_line_knows_its_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.parse(["--quick", "--only", "book,store"]).only == ["book", "store"]
    assert (run.parse([]).rounds, run.parse(["--quick"]).rounds) == (3, 1)
    for arguments, message in (
        (["--only", "bok"], "known: book,small,large,store,objectives,start-up"),
        (["--json", str(tmp_path / "missing" / "x.json")], "make it first"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run.parse(arguments)
        assert message in capsys.readouterr().err


def costing(**seconds: tuple[float, float, float]) -> Costs:
    """What a runner's rounds cost: by part a constant, for each item, and for each trial under way."""
    names = ("claim", "record", "counts", "report", "engine")
    return {name: np.array(seconds.get(name, (0, 0, 0)), dtype=float) for name in names}


def test_workers_that_are_served_at_once_never_wait_and_a_runner_that_is_never_idle_is_the_limit() -> None:
    work = Work(0.5)
    rate, busy = simulate(work, 10, costing(), batches=2000)
    assert rate == pytest.approx(10 * 4 / work.mean, rel=0.03)
    assert busy == pytest.approx(1.0, abs=0.03)
    # Each trial costs 1 ms to claim and 3 ms to record, and nothing once a round: 250 a second, whoever waits.
    rate, _ = simulate(Work(0.2), 1000, costing(claim=(0, 0.001, 0), record=(0, 0.003, 0)), batches=4000)
    assert rate == pytest.approx(250, rel=0.02)


@settings(max_examples=25)
@given(st.integers(1, 200), st.floats(0.05, 20.0), st.floats(0.0, 0.05), st.floats(0.0, 1e-4))
def test_no_more_than_the_workers_and_the_runner_can_do(
    slots: int, median: float, once: float, under_way: float
) -> None:
    parts = {"record": (once, 0, 0), "counts": (0, 0, under_way), "report": (once, 0, 0), "engine": (0, 0.001, 0)}
    of = costing(claim=(once, 0.001, under_way), **parts)
    rate, _ = simulate(Work(median), slots, of, batches=5 * slots)
    assert rate <= 1.25 * slots * 4 / Work(median).mean
    assert rate <= 1.01 / 0.00125


def test_costs_are_found_again_and_none_is_negative() -> None:
    sizes = [(4.0, 4.0), (16.0, 40.0), (4.0, 400.0), (128.0, 400.0), (4.0, 4000.0), (400.0, 4000.0)]
    samples = [(items, under_way, 0.002 + 0.0005 * items + 1e-5 * under_way) for items, under_way in sizes]
    assert fit(samples) == pytest.approx((0.002, 0.0005, 1e-5))
    assert min(fit([(items, under_way, 1.0 / (1 + under_way)) for items, under_way in sizes])) >= 0
    assert fit([]) == pytest.approx(0)


def test_points_leave_at_most_every_second_and_durations_have_the_mean_that_is_said() -> None:
    work = Work(2.0)
    assert work.flushes(0.9) == []
    assert [epoch for _, epoch in work.flushes(10.0)] == list(range(1, 11))
    durations = [work.duration(4 * batch) for batch in range(5000)]
    assert (np.mean(durations), np.median(durations)) == pytest.approx((work.mean, 2.0), rel=0.01)
    assert {work.duration(number) for number in range(4)} == {work.duration(0)}


def test_a_regret_is_what_a_run_lacks_of_the_best_on_its_split() -> None:
    """Of each way in which values were chosen, and over all methods and budgets."""
    tuning = pytest.importorskip("tuning")  # needs scikit-learn
    scores: list[tuple[str, int, int, dict[str, float]]] = [
        ("gp", 100, 0, {"": 0.9}),
        ("staged", 100, 0, {"best": 0.88, "recommend": 0.91}),
        ("gp", 100, 1, {"": 0.8}),
        ("staged", 100, 1, {"best": 0.8, "recommend": 0.77}),
    ]
    runs = [tuning.Run("svm", method, budget, seed, held_out, 1.0) for method, budget, seed, held_out in scores]
    found: dict[str, list[float]] = {}
    for _, method, _, regret in tuning.regrets(runs):
        found.setdefault(method, []).append(round(regret, 6))
    assert found == {"gp": [0.01, 0.0], "staged: best": [0.03, 0.0], "staged: recommend": [0.0, 0.03]}
    rows = tuning.table(runs).splitlines()
    assert rows[0] == "| trials | task | gp | staged: best | staged: recommend |"
    assert rows[2] == "| 100 | svm | 5.0 +- 5.0 | 15.0 +- 15.0 | 15.0 +- 15.0 |"
    assert rows[3] == "| 100 | **mean** | **5.0** | **15.0** | **15.0** |"


def test_a_planted_gain_is_adopted_against_a_search_and_against_one_setting() -> None:
    for chosen in (True, False):
        retrained, study, true = adopting.pair(0, 400, 0.1, chosen=chosen)
        assert retrained.interval.low > 0
        assert retrained.mean == pytest.approx(true, abs=0.03)
        assert (study is not None) is chosen


def test_three_stages_close_in_on_an_optimum_and_leave_a_parameter_without_effect() -> None:
    made = [narrowing.search("bowl", 60, 1000, 5, "surrogate", number) for number in range(3)]
    inside, dummy, widths, seen, regret = np.split(np.array(made, dtype=float).mean(axis=0), (3, 6, 9, 10))
    assert inside.tolist() == [1, 1, 1]
    assert dummy.tolist() == [0, 0, 0]
    assert widths[0] > widths[1] > widths[2]
    assert (seen[0], regret[0]) == (1, pytest.approx(0, abs=0.005))


@pytest.mark.parametrize("searcher", [recommending.staged, recommending.refined])
def test_a_regret_is_what_the_chosen_values_lack_of_the_optimum(
    searcher: Callable[..., recommending.Searched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommending, "TRIALS", 90)
    best, _, recommended, confirmed = recommending.regrets("bowl", searcher, 100, 1)
    assert min(best, recommended, confirmed) >= 0
    assert max(recommended, confirmed) < 0.05
