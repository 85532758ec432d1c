"""`hpsearch evaluate`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from commands import HELD_OUT, START, Cli, Made

from hpsearch.nn import load_model


@pytest.fixture
def ready(made: Made) -> Cli:
    """The command line in a folder where a search with test images has run."""
    return made(START, study=HELD_OUT)


def plain(cli: Cli, *arguments: str) -> Any:
    ran = cli(*arguments, "--format", "json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_the_first_look_says_what_was_scored_and_the_second_is_refused(ready: Cli) -> None:
    best = plain(ready, "best")
    ran = ready("evaluate")
    assert ran.code == 0
    first, *_ = ran.out.splitlines()
    assert first.startswith(f"tiny/stage-01 trial {best['trial']}: lr = ")
    assert "chosen: the best trial of all stages; tiny/stage-01 has not been confirmed" in ran.out
    assert "trained on 100 images (60 train, 40 validation) for 3 epochs" in ran.out
    assert "of 100 images)" in ran.out
    assert "look at the test images" not in ran.out
    assert "mistakes; the most confident ones:\n" in ran.out
    assert all(len(line) <= 80 for line in ran.out.splitlines() if not line.startswith("chosen"))
    refused = ready("evaluate")
    assert refused.code == 2
    assert refused.out == ""
    assert len(refused.err.splitlines()) == 1
    assert refused.err.startswith("hpsearch: tiny was evaluated on 20")
    assert "--again" in refused.err
    again = ready("evaluate", "--again")
    assert again.code == 0
    assert "evaluation 2 on this test set: no longer an unbiased estimate" in again.out
    assert "evaluation 3 on" in ready("evaluate", "--again").out


def test_for_programs(ready: Cli) -> None:
    found = plain(ready, "evaluate", "--epochs", "2", "--seed", "7")
    assert (found["epochs"], found["seed"], found["look"], found["images"]) == (2, 7, 1, 100)
    assert found["hits"] == sum(found["confusion"][i][i] for i in range(10))
    assert found["accuracy"] == found["hits"] / 100
    low, high = found["interval"]
    assert low < found["accuracy"] < high
    assert len(found["mistakes"]) == 100 - found["hits"]
    probabilities = [one["probability"] for one in found["mistakes"]]
    assert probabilities == sorted(probabilities, reverse=True)
    row = ready("evaluate", "--epochs", "2", "--seed", "7", "--again", "--format", "csv").out.splitlines()
    assert len(row) == 2
    assert str(found["accuracy"]) in row[1].split(",")


def test_a_confirmed_search_is_evaluated_by_its_first(ready: Cli) -> None:
    order = plain(ready, "confirm", "--engine", "inline", "--top", "3", "--repeats", "4")["settings"]
    ran = ready("evaluate")
    assert ran.out.startswith(f"tiny/stage-01 trial {order[0]['trial']}: ")
    assert "chosen: the first of tiny/confirm-01, which trained 3 settings again" in ran.out
    assert "the mean of 4 repeats" in ran.out
    asked = plain(ready, "evaluate", "--again", "--stage", "1", "--trial", str(order[2]["trial"]))
    assert (asked["trial"], asked["chosen"], asked["params"]) == (order[2]["trial"], "asked", order[2]["params"])


def test_files(ready: Cli, tmp_path: Path) -> None:
    ran = ready("evaluate", "--plot", "c.html", "--mistakes", "m.html", "--save", "net.npz", "--format", "json")
    assert ran.code == 0
    found = json.loads(ran.out)
    for name, words in (("c.html", "predicted as"), ("m.html", "most confident")):
        assert words in (tmp_path / name).read_text(encoding="utf-8")
    model = load_model(tmp_path / "net.npz")
    assert model.about["test_accuracy"] == found["accuracy"]
    assert model.about["trained_on"] == 100
    assert "validation_accuracy" not in model.about  # of images that it was trained on
    assert model.about["settings"]["lr"] == found["params"]["lr"]
    # What is saved is what was scored.
    shown = ready("model", "show", "net.npz")
    assert shown.code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--confirmed",), "tiny/stage-01 has not been confirmed"),
        (("--confirmed", "--best"), "--confirmed and --best choose different values; give one of them"),
        (("--best", "--stage", "1", "--trial", "2"), "--best and --trial"),
        (("--trial", "2"), "--trial 2: every stage has its own numbers"),
        (("--stage", "1", "--trial", "99"), "tiny/stage-01 has no trial 99 with a score"),
        (("--stage", "4"), "tiny has no stage 4; known: 1"),
        (("--epochs", "0"), "--epochs 0"),
        (("--seed", "-1"), "--seed -1"),
        (("--plot", "c.gif"), "cannot save a figure as 'c.gif'"),
        (("--mistakes", "nowhere/m.html"), "there is no folder nowhere"),
        (("--save", "net.pt"), "--save net.pt: a network is saved as .npz"),
        (("other",), "no search 'other'"),
    ],
)
def test_bad_input_costs_no_look(ready: Cli, arguments: tuple[str, ...], words: str) -> None:
    ran = ready("evaluate", *arguments)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert words in ran.err
    assert plain(ready, "evaluate")["look"] == 1


def test_values_that_diverge_cost_no_look(cli: Cli, tiny: Path) -> None:
    """Decay of more than all of a weight a step: it grows, and in many more epochs than the trial's without end."""
    tiny.write_text(
        tiny.read_text()
        .replace("validation = 40", "validation = 40\ntest = 100")
        .replace("epochs = 3", "epochs = 1")
        .replace("low = 1e-3, high = 1.0", "low = 1e4, high = 1e6")
        .replace("low = 1e-8, high = 1e-4", "low = 1e-3, high = 1e-2")
    )
    assert cli("start", "tiny.toml", "--engine", "inline").code == 0
    trial = str(plain(cli, "trials", "--state", "complete")[0]["trial"])
    ran = cli("evaluate", "--stage", "1", "--trial", trial, "--epochs", "200")
    assert ran.code == 1
    assert "The test set was not read" in ran.err
    study = optuna.load_study(study_name="tiny/stage-01", storage="sqlite:///studies/hpsearch.db")
    assert "hpsearch:evaluations" not in study.user_attrs
