"""The benchmark's arithmetic, tables and workloads; no peer is imported, nothing is timed."""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import run
from contenders.book_loop import DictNetwork
from contenders.training_alone import batch_size
from measuring import Figure, Sample, Spread, figures_table, interleave, ratio, spread, turn
from searches import PEERS
from workloads import BOOK, LARGE, SMALL, WORKLOADS, Assignment, Workload, compare, for_all_trials

from hpsearch.space import Float
from hpsearch.study_file import StudyFile, differences, parse, shipped


def study(workload: Workload) -> StudyFile:
    return parse(tomllib.loads(workload.study_file()), source=workload.name)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_a_workload_s_study_file_says_the_same_as_its_numbers(workload: Workload) -> None:
    read = study(workload)
    assert (read.name, read.sections.data.train, read.sections.data.validation) == (
        workload.name,
        workload.train,
        workload.validation,
    )
    assert (read.sections.network.hidden, read.sections.training.optimizer) == (workload.hidden, workload.optimizer)
    assert (read.sections.training.batch_size, read.sections.training.epochs) == (workload.batch_size, workload.epochs)
    assert read.trials.count == workload.trials
    ranges = {"lr": workload.lr, "weight_decay": workload.weight_decay}
    assert read.space == {name: Float(low, high, log=True) for name, (low, high) in ranges.items()}


def test_the_book_s_workload_is_the_study_file_that_ships() -> None:
    book = parse(tomllib.loads(shipped()["mnist"].read_text(encoding="utf-8")), source="mnist")
    assert list(differences(book.to_dict(), study(BOOK).to_dict())) == ["name: 'mnist' -> 'book'"]


def test_the_small_workload_is_the_book_s_with_one_layer() -> None:
    told = list(differences(study(BOOK).to_dict(), study(SMALL).to_dict()))
    assert [line.partition(":")[0] for line in told] == ["name", "network.hidden"]


def test_a_workload_s_flops_by_hand() -> None:
    first, second, last = 2 * 784 * 256, 2 * 256 * 128, 2 * 128 * 10
    forward = first + second + last
    an_epoch = 8000 * (forward + first + 2 * (second + last)) + 1000 * forward
    assert LARGE.flops() == 20 * 5 * an_epoch
    assert LARGE.of(3).flops() == 3 * LARGE.flops() // 20
    # An input less spares its products forward, and in the gradient of its weights.
    assert LARGE.flops() - LARGE.flops(inputs=783) == 20 * 5 * 2 * 256 * (2 * 8000 + 1000)


def test_an_assignment_survives_the_command_line() -> None:
    given = Assignment(SMALL.of(7), 3, 2, "data.npz", "folder")
    assert Assignment.from_json(given.to_json()) == given


def test_a_ratio_is_of_medians_and_its_ends_are_of_single_rounds() -> None:
    assert ratio([10.0, 30.0, 20.0], [5.0, 10.0, 4.0]) == Spread(20 / 5, 2.0, 5.0)
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_without_rounds_to_compare_there_is_no_ratio() -> None:
    for above, below in (([], []), ([1.0], [1.0, 2.0])):
        with pytest.raises(ValueError, match="give the same number"):
            ratio(above, below)
    with pytest.raises(ValueError, match="at least one"):
        spread([])


def test_scaling_to_all_trials_leaves_the_start_as_it_is() -> None:
    assert for_all_trials(12.0, 10.0, measured=25, trials=100) == 2.0 + 40.0
    assert for_all_trials(12.0, 10.0, measured=100, trials=100) == 12.0


@pytest.mark.parametrize(
    ("value", "bound", "met"),
    [(8.0, "at least", True), (7.9, "at least", False), (8.0, "at most", True), (8.1, "at most", False)],
)
def test_a_figure_is_met_at_its_bound(value: float, bound: str, met: bool) -> None:
    assert Figure("x", spread([value]), asked=8.0, bound=bound).met is met  # type: ignore[arg-type]


def test_a_figure_that_was_not_asked_or_not_measured_is_neither_met_nor_missed() -> None:
    assert Figure("x", spread([1.0])).met is None
    assert Figure("x", None, asked=3.0).met is None


def test_the_table_shows_asked_measured_and_spread() -> None:
    rows = figures_table(
        [
            Figure("a | b", Spread(2.345, 2.0, 2.5), asked=2.5, ours="4 s", theirs="9 s"),
            Figure("memory", Spread(412.4, 400.0, 430.0), unit="MB", asked=500.0, bound="at most"),
            Figure("later", None, asked=3.0, note="not there yet"),
        ]
    ).splitlines()
    assert rows[2:] == [
        "| a \\| b | at least 2.5x | 2.35x | 2 .. 2.5 | **no** | 4 s | 9 s | - |",
        "| memory | at most 500 MB | 412 MB | 400 .. 430 | yes | - | - | - |",
        "| later | at least 3x | not measured | not measured | - | - | - | not there yet |",
    ]


def test_every_contender_comes_first_in_its_turn_and_is_measured_once_a_round() -> None:
    names = ["a", "b", "c"]
    assert [turn(names, number)[0] for number in range(4)] == ["a", "b", "c", "a"]
    samples = interleave("test", {name: lambda number: Sample(number) for name in names}, rounds=4)
    assert list(samples) == names
    assert all([sample.seconds for sample in some] == [0, 1, 2, 3] for some in samples.values())


def test_who_learns_as_well_is_told_from_who_does_not() -> None:
    ours = [0.1] * 95 + [0.80, 0.79, 0.78, 0.77, 0.76]
    peers = {"a third of the trials": ours[::3], "worse": [0.1] * 95 + [0.68] * 5, "better": [0.9] * 100}
    peers["fewer, with less luck"] = [0.1] * 19 + [0.70]
    rows = compare("book", 100, {"us": ours, **peers}, ours="us")
    assert [row.alike for row in rows] == [None, True, False, False, True]
    assert rows[0].top == 0.78
    assert rows[0].noise == pytest.approx(2 * np.sqrt(0.78 * 0.22 / 100))
    assert "**no**" in run.learning_table(rows)


def test_of_a_few_trials_nothing_is_said() -> None:
    rows = compare("book", 100, {"us": [0.8] * 4, "them": [0.1] * 4}, ours="us")
    assert [row.alike for row in rows] == [None, None]


@pytest.mark.parametrize(("trials", "lanes", "processes"), [(100, 2, 2), (4, 32, 2), (7, 3, 4), (1, 1, 2)])
def test_the_processes_share_the_trials_in_batches_that_fit(trials: int, lanes: int, processes: int) -> None:
    size = batch_size(trials, lanes, processes)
    begins = [range(index * size, trials, processes * size) for index in range(processes)]
    taken = sorted(chain.from_iterable(range(b, min(b + size, trials)) for some in begins for b in some))
    assert taken == list(range(trials))
    assert 1 <= size <= lanes


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
    for arguments, said in (
        (["--only", "bok"], "known: book,small,large,store,start-up,halving"),
        (["--rounds", "0"], "give at least 1"),
        (["--json", str(tmp_path / "missing" / "x.json")], "make it first"),
    ):
        with pytest.raises(SystemExit) as refused:
            run.parse(arguments)
        assert refused.value.code == 2
        assert said in capsys.readouterr().err
