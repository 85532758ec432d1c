"""Two searches or stages side by side: what is said, and what is not."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Cli

from hpsearch.records import NewStage, PastTrials
from hpsearch.space import Float
from hpsearch.statistics.hits import pack
from hpsearch.store import open_store

NOW = datetime(2026, 1, 2)
STAGE = NewStage(
    search="one",
    number=1,
    direction="maximize",
    seed=0,
    space={"lr": Float(1e-3, 1.0, log=True)},
    study_file={"objective": {"metric": "validation_accuracy"}, "training": {"epochs": 2}},
    fingerprint="ab12",
    sizes={"train": 60, "validation": 40},
)
A = [0.1, 0.2, 0.3, 0.4, 0.5]


def past(scores: list[float], *, failed: int = 0, pruned: int = 0, hits: list[bool] | None = None) -> PastTrials:
    """Completed trials with these scores, two epochs and a second each; the best one with hits."""
    count = len(scores) + failed + pruned
    best = int(np.argmax(scores))
    return PastTrials(
        states=["COMPLETE"] * len(scores) + ["FAIL"] * failed + ["PRUNED"] * pruned,
        scores=[*scores, *[None] * failed, *[0.0] * pruned],
        started=[NOW] * count,
        finished=[NOW] * count,
        params={"lr": [0.1] * count},
        points=(np.repeat(np.arange(len(scores)), 2), np.tile([1, 2], len(scores)), np.repeat(scores, 2)),
        attributes=[
            *((n, "seconds", 1.0) for n in range(count)),
            *([] if hits is None else [(best, "hits", pack(np.array(hits)))]),
        ],
    )


def write(*stages: tuple[NewStage, PastTrials], file: str = "a.db") -> None:
    store = open_store(file, create=True, write=True)
    store.import_stages(stages)
    store.close()


def compared(cli: Cli, *arguments: str) -> dict[str, Any]:
    ran = cli("compare", *arguments, "--format", "json")
    assert ran.code == 0, ran
    found: dict[str, Any] = json.loads(ran.out)
    return found


@pytest.fixture
def two(cli: Cli) -> Cli:
    """Two searches on the same images, of which the second is better."""
    hits = np.arange(40) < 20
    more = np.arange(40) < 30
    other = replace(STAGE, search="two")
    write(
        (STAGE, past(A, hits=hits.tolist(), failed=1)),
        (other, past([0.45, 0.55, 0.6, 0.65, 0.7, 0.75], hits=more.tolist())),
    )
    return cli


def test_numbers_by_hand(two: Cli) -> None:
    found = compared(two, "one", "two", "--storage", "a.db")
    a, b = found["a"], found["b"]
    assert (a["best"], a["best_trial"], a["best_stage"]) == (0.5, 4, "one/stage-01")
    assert (b["best"], b["best_trial"]) == (0.75, 5)
    assert a["quartiles"] == A
    assert (a["complete"], a["failed"], a["epochs"], a["seconds"]) == (5, 1, 10, 6.0)
    assert 0.35 < a["interval"]["low"] < 0.5 < a["interval"]["high"] < 0.65
    # Of 30 pairs only 0.45 against 0.5 is lost.
    assert found["superiority"] == pytest.approx(29 / 30)
    # As or more extreme are the 2 highest sums of ranks and the 2 lowest, of C(11, 5).
    assert found["p"] == pytest.approx(4 / 462)
    assert found["drawn"] == 5
    # Of 5 of B's 6 the highest is 0.75 unless that one is left out.
    assert found["expected"] == pytest.approx([0.5, 5 / 6 * 0.75 + 1 / 6 * 0.7])
    assert found["paired"] == {"images": 40, "only_a": 0, "only_b": 10, "p": 2 / 2**10}
    assert "beats one of A in 97% of pairs (p = 0.0087)" in found["sentences"][0]
    assert found["sentences"][-1].endswith("B's best is better on them")
    assert any("chosen for its score on these examples" in remark for remark in found["remarks"])


def test_lower_is_better_where_the_score_is_a_loss(cli: Cli) -> None:
    loss = replace(STAGE, direction="minimize", study_file={"objective": {"metric": "validation_loss"}})
    write((loss, past([0.1, 0.2])), (replace(loss, search="two"), past([0.3, 0.4, 0.5])))
    found = compared(cli, "one", "two", "--storage", "a.db")
    assert found["superiority"] == 0
    assert (found["a"]["best"], found["b"]["best"]) == (0.1, 0.3)
    assert found["expected"] == pytest.approx([0.1, 2 / 3 * 0.3 + 1 / 3 * 0.4])
    assert found["a"]["interval"] is None  # a loss is no share of images


@pytest.mark.parametrize(
    "arguments",
    [
        ("one", "b.db::two", "--storage", "a.db"),
        ("one", "two", "--storage", "a.db", "--other-storage", "b.db"),
        ("one/stage-01", "sqlite:///b.db::two/stage-01", "--storage", "a.db"),
        ("a.db::one", "b.db::"),
    ],
)
def test_two_databases(cli: Cli, arguments: tuple[str, ...]) -> None:
    write((STAGE, past(A)))
    write((replace(STAGE, search="two"), past([*A, 0.9])), file="b.db")
    found = compared(cli, *arguments)
    assert [found[side]["where"] for side in "ab"] == ["a.db", "b.db"]
    assert (found["a"]["best"], found["b"]["best"]) == (0.5, 0.9)


@pytest.mark.parametrize(
    ("changes", "says", "tested"),
    [
        (
            {"study_file": {"objective": {"metric": "loss"}}},
            "not comparable: A is ranked by validation_accuracy",
            False,
        ),
        ({"direction": "minimize"}, "not comparable: A is to maximize", False),
        ({"fingerprint": "cd34"}, "not comparable: the data differ", True),
        ({"fingerprint": ""}, "the data of B are not known", True),
        (
            {"study_file": {**STAGE.study_file, "training": {"epochs": 5}}},
            "a trial of A trains for 2 epochs, one of B for 5",
            True,
        ),
        ({"space": {"lr": Float(0.001, 1), "momentum": Float(0, 0.9)}}, "only B searches momentum", True),
    ],
)
def test_what_cannot_be_compared_is_said_and_shown(cli: Cli, changes: dict[str, Any], says: str, tested: bool) -> None:
    hits, fewer = ((np.arange(40) < right).tolist() for right in (20, 16))
    write((STAGE, past(A, hits=hits)), (replace(STAGE, search="two", **changes), past(A[:4], hits=fewer)))
    found = compared(cli, "one", "two", "--storage", "a.db")
    assert any(says in remark for remark in found["remarks"]), found["remarks"]
    for name in ("p", "superiority", "expected"):
        assert (found[name] is not None) == tested
    same_images = tested and "fingerprint" not in changes
    assert (found["paired"] is not None) == same_images
    people = cli("compare", "one", "two", "--storage", "a.db").out
    assert says in people
    assert "0.4" in people


def test_trials_that_were_stopped_early_are_left_out_and_that_is_said(cli: Cli) -> None:
    write((STAGE, past(A)), (replace(STAGE, search="two"), past(A, pruned=5)))
    found = compared(cli, "one", "two", "--storage", "a.db")
    assert found["superiority"] == 0.5
    assert any("B pruned 5 of 10 trials" in remark for remark in found["remarks"])


def test_a_search_of_several_stages_is_all_of_them(cli: Cli) -> None:
    write((STAGE, past(A)), (replace(STAGE, number=2, parent=1), past([0.9])))
    found = compared(cli, "one", "one/stage-01", "--storage", "a.db")
    assert (found["a"]["complete"], found["a"]["best_stage"]) == (6, "one/stage-02")
    assert (found["b"]["complete"], found["b"]["name"]) == (5, "one/stage-01")
    assert any("A is 2 stages together" in remark for remark in found["remarks"])


def test_people_and_programs_see_the_same(two: Cli) -> None:
    found = compared(two, "one", "two", "--storage", "a.db")
    rows = list(csv.DictReader(io.StringIO(two("compare", "one", "two", "--storage", "a.db", "--format", "csv").out)))
    assert [(row["side"], float(row["best"]), float(row["median"])) for row in rows] == [
        (side, found[side.lower()]["best"], found[side.lower()]["quartiles"][2]) for side in "AB"
    ]
    people = two("compare", "one", "two", "--storage", "a.db").out
    for sentence in (*found["sentences"], *found["remarks"]):
        assert sentence in people
    table = people.partition("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert "1 (17%)" in table


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("one", "compare needs B"),
        ("one nope --storage a.db", "no search 'nope'"),
        ("one one/stage-07 --storage a.db", "has no stage 7"),
        ("one gone.db::two --storage a.db", "gone.db"),
        ("one two --storage a.db --other-storage gone.db", "gone.db"),
        ("one empty --storage a.db", "no trial with a score"),
    ],
)
def test_what_is_refused(cli: Cli, arguments: str, says: str) -> None:
    write((STAGE, past(A)))
    store = open_store("a.db", write=True)
    store.create_stage(replace(STAGE, search="empty"))
    store.close()
    ran = cli("compare", *arguments.split())
    assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, ""), ran
    assert says in ran.err
    assert not Path("gone.db").exists()


def test_a_real_search_with_itself(searched: Cli) -> None:
    found = compared(searched, "tiny", "tiny")
    assert (found["superiority"], found["p"]) == (0.5, 1)
    assert found["paired"]["only_a"] == found["paired"]["only_b"] == 0
    assert found["remarks"] == []
    assert "get the same of the 40 validation examples right" in found["sentences"][-1]
