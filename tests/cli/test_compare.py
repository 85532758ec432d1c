"""Two searches or stages side by side: what is said, and what is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import CONFIRM, START, TINY, Cli, Made

from hpsearch.records import NewStage, PastTrials
from hpsearch.space import Categorical, Float, Space
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
FUNCTION = {"objective": {"metric": "validation_accuracy", "function": "a:b", "direction": "maximize"}}
TWO = replace(STAGE, search="two")
A = [0.1, 0.2, 0.3, 0.4, 0.5]
ONE_AND_TWO = "one two --storage a.db"


def past(scores: list[float], *, failed: int = 0, pruned: int = 0, right: int | None = None) -> PastTrials:
    """Completed trials with these scores, two epochs and a second each; the best one got so many images right."""
    count = len(scores) + failed + pruned
    hits = [] if right is None else [(int(np.argmax(scores)), "hits", pack(np.arange(40) < right))]
    return PastTrials(
        states=["COMPLETE"] * len(scores) + ["FAIL"] * failed + ["PRUNED"] * pruned,
        scores=[*scores, *[None] * failed, *[0.0] * pruned],
        started=[NOW] * count,
        finished=[NOW] * count,
        params={"lr": [0.1] * count},
        points=(np.repeat(np.arange(len(scores)), 2), np.tile([1, 2], len(scores)), np.repeat(scores, 2)),
        attributes=[*((n, "seconds", 1.0) for n in range(count)), *hits],
    )


def compared(cli: Cli, *stages: tuple[NewStage, PastTrials], line: str = ONE_AND_TWO) -> Any:
    """The comparison of stages that are written into a database."""
    write(*stages)
    return cli.json(f"compare {line}")


def write(*stages: tuple[NewStage, PastTrials], file: str = "a.db") -> None:
    store = open_store(file, create=True, write=True)
    store.import_stages(stages)
    store.close()


def test_numbers_by_hand_for_people_and_for_programs(cli: Cli) -> None:
    better = [0.45, 0.55, 0.6, 0.65, 0.7, 0.75]
    plain = compared(cli, (STAGE, past(A, right=20, failed=1)), (TWO, past(better, right=30)))
    a, b = plain["a"], plain["b"]
    assert (a["best"], a["best_trial"], a["best_stage"]) == (0.5, 4, "one/stage-01")
    assert (b["best"], b["best_trial"]) == (0.75, 5)
    assert a["quartiles"] == A
    assert (a["complete"], a["failed"], a["epochs"], a["seconds"]) == (5, 1, 10, 6.0)
    assert 0.35 < a["interval"]["low"] < 0.5 < a["interval"]["high"] < 0.65
    assert [(row["side"], float(row["best"]), float(row["median"])) for row in cli.csv(f"compare {ONE_AND_TWO}")] == [
        (side, plain[side.lower()]["best"], plain[side.lower()]["quartiles"][2]) for side in "AB"
    ]
    people = cli.ok(f"compare {ONE_AND_TWO}")
    assert people.splitlines()[-1] == plain["sentences"][0]
    table = people.partition("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert "1 (17%)" in table


def test_lower_is_better_where_the_score_is_a_loss(cli: Cli) -> None:
    loss = replace(STAGE, direction="minimize", study_file={"objective": {"metric": "validation_loss"}})
    plain = compared(cli, (loss, past([0.1, 0.2])), (replace(loss, search="two"), past([0.3, 0.4, 0.5])))
    assert (plain["a"]["best"], plain["b"]["best"]) == (0.1, 0.3)
    assert plain["a"]["interval"] is None  # a loss is no share of images


def test_two_databases(cli: Cli) -> None:
    write((STAGE, past(A)))
    write((TWO, past([*A, 0.9])), file="b.db")
    for line in (
        "one b.db::two --storage a.db",
        "one two --storage a.db --other-storage b.db",
        "one/stage-01 sqlite:///b.db::two/stage-01 --storage a.db",
        "a.db::one b.db::",
    ):
        plain = cli.json(f"compare {line}")
        assert [(plain[side]["where"], plain[side]["best"]) for side in "ab"] == [("a.db", 0.5), ("b.db", 0.9)]
    assert ["database", "a.db", "b.db"] in map(str.split, cli.ok("compare a.db::one b.db::").splitlines())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"study_file": {"objective": {"metric": "loss"}}}, "A is ranked by validation_accuracy and B by loss"),
        ({"direction": "minimize"}, "A maximizes validation_accuracy and B minimizes it"),
        ({"fingerprint": "cd34"}, "the data differ (60 + 40 examples in A, 60 + 40 examples in B)"),
        ({"fingerprint": ""}, "the data of B are not known"),
        (
            {"study_file": {**STAGE.study_file, "training": {"epochs": 5}}},
            "trains for 2 epochs in A and 5 epochs in B",
        ),
        ({"study_file": {**FUNCTION, "fixed": {"epochs": 5}}}, "trains for 2 epochs in A and 5 epochs in B"),
        ({"space": {"lr": Float(0.001, 1), "momentum": Float(0, 0.9)}}, "only B searches momentum"),
    ],
)
def test_what_cannot_be_compared_is_said_and_shown(cli: Cli, changes: dict[str, Any], says: str) -> None:
    plain = compared(cli, (STAGE, past(A, right=20)), (replace(TWO, **changes), past(A[:4], right=16)))
    assert any(says in text for text in (*plain["sentences"], *plain["remarks"])), plain
    people = cli.ok(f"compare {ONE_AND_TWO}")
    assert says in people
    assert "0.4" in people


def test_trials_that_were_stopped_early_are_left_out_and_that_is_said(cli: Cli) -> None:
    plain = compared(cli, (STAGE, past(A)), (TWO, past(A, pruned=5)))
    assert any("B pruned 5 of 10 trials" in remark for remark in plain["remarks"])


def test_a_search_of_several_stages_is_all_of_them(cli: Cli) -> None:
    stages = (STAGE, past(A)), (replace(STAGE, number=2, parent=1), past([0.9]))
    plain = compared(cli, *stages, line="one one/stage-01 --storage a.db")
    assert (plain["a"]["complete"], plain["a"]["best_stage"]) == (6, "one/stage-02")
    assert (plain["b"]["complete"], plain["b"]["name"]) == (5, "one/stage-01")


def test_scores_of_fewer_epochs_than_the_best_take_no_part(cli: Cli) -> None:
    longer = replace(STAGE, number=2, parent=1, study_file={**STAGE.study_file, "training": {"epochs": 5}})
    plain = compared(cli, (STAGE, past(A)), (longer, past([0.6, 0.7])), line="one one/stage-01 --storage a.db")
    assert plain["a"]["quartiles"][0] == 0.6
    assert any("a trial trains for 5 epochs in A and 2 epochs in B" in remark for remark in plain["remarks"])


def test_ranges_for_each_value_are_of_one_parameter(cli: Cli) -> None:
    opt = Categorical(("a", "b"))
    both: Space = {"opt": opt, "lr": Float(0.001, 1)}
    apart: Space = {"opt": opt, **{f"lr[{of}]": Float(0.001, 1, when={"opt": (of,)}) for of in "ab"}}
    of_both, of_apart = (replace(of, space=space) for of, space in ((STAGE, both), (TWO, apart)))
    rows = past(A)
    columns = replace(rows, params={"opt": ["a"] * 5, "lr": [0.1] * 5})
    others = replace(rows, params={"opt": ["a"] * 5, "lr[a]": [0.1] * 5, "lr[b]": [None] * 5})
    plain = compared(cli, (of_both, columns), (of_apart, others))
    assert not any("searches" in remark for remark in plain["remarks"])


def test_of_trials_it_says_which_is_wrong(cli: Cli) -> None:
    write((STAGE, past(A, failed=1)))
    for trial in (5, 99):
        says = f"one/stage-01 has no trial {trial} with a score"
        cli.refused(f"compare one/stage-01/{trial} one --storage a.db", says=says)
    cli.refused(
        "compare one/stage-01/x one --storage a.db", says="a trial is named by its number, such as one/stage-01/7"
    )


def test_a_real_search_with_itself(searched: Cli) -> None:
    plain = searched.json("compare tiny tiny/stage-01")
    assert (plain["remarks"], plain["sentences"]) == ([], ["keep A: B comes to the same values"])


def test_a_baseline_is_set_and_compared_with(made: Made) -> None:
    cli = made(START, CONFIRM)
    cli.refused(
        "compare tiny", says="no baseline for the data and metric of tiny; `hpsearch baseline set SEARCH/STAGE/TRI"
    )
    cli.refused("compare tiny --other-storage x.db", says="it is the database of B, and B is missing; give B, too")
    cli.refused(
        "baseline set tiny/stage-01", says="is not a trial; name one as SEARCH/STAGE/TRIAL, such as mnist/stage-02/7"
    )
    cli.refused("baseline set tiny/stage-01/99", says="tiny/stage-01 has no trial 99 with a score")
    first, *_, last = [row["trial"] for row in cli.json("confirm --engine inline --top 3 --repeats 4")["settings"]]
    assert f"tiny/stage-01/{last} (validation_accuracy 0." in cli.ok(f"baseline set tiny/stage-01/{last}")
    row = cli.json(f"baseline set tiny/stage-01/{last}")
    assert row["baseline"] == f"tiny/stage-01/{last}"
    plain = cli.json("compare tiny")
    assert (plain["a"]["name"], plain["a"]["complete"], plain["b"]["name"]) == (row["baseline"], 1, "tiny")
    assert [plain[side]["values"] for side in "ab"] == [row["baseline"], f"tiny/stage-01/{first}"]
    assert plain["retrained"]["covers"] == "seeds and examples"
    assert plain["retrained"]["mean"] >= 0
    assert cli.ok("compare tiny").splitlines()[-1] == plain["sentences"][0]
    assert cli.json(f"compare {row['baseline']} {row['baseline']}")["verdict"] == "keep"


def test_complexity_is_named(searched: Cli) -> None:
    wide = TINY.replace('"tiny"', '"wide"').replace("hidden = [8]", "hidden = [32]").replace("epochs = 3", "epochs = 6")
    Path("wide.toml").write_text(wide)
    searched.ok("start wide.toml --engine inline")
    plain = searched.json("compare tiny wide")
    assert plain["complexity"]["weights"] == [784 * 8 + 8 + 8 * 10 + 10, 784 * 32 + 32 + 32 * 10 + 10]
    assert plain["complexity"]["epochs"] == [3, 6]
    assert len(plain["complexity"]["seconds a trial"]) == 2


def test_a_stage_s_values_to_use_are_those_that_recommend_names(cli: Cli) -> None:
    rng = np.random.default_rng(0)
    stages = []
    for number in (1, 2, 3):
        columns = past(list(rng.integers(10, 30, 12) / 40))
        columns = replace(columns, params={**columns.params, "lr": list(rng.uniform(0.001, 1, 12))})
        stages.append((replace(STAGE, number=number, parent=number - 1 or None), columns))
    both = compared(cli, *stages, line="one/stage-01 one/stage-02 --storage a.db")
    for side in "ab":
        recommended = cli.json(f"recommend {both[side]['name']} --storage a.db")
        assert both[side]["values"] == f"{recommended['stage']}/{recommended['trial']}"
