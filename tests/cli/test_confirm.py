"""`hpsearch confirm` and `evaluate`: what they print, write and refuse, and what other commands make of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from commands import CONFIRM, HELD_OUT, START, Cli, Made

from hpsearch.nn import load_model
from hpsearch.search.confirmation import best_settings, planned
from hpsearch.store import open_store

DB = "studies/hpsearch.db"
MARKDOWN = "report --format md --out -"


@pytest.fixture
def confirmed(made: Made) -> Cli:
    """The command line in a folder where a search with test images was run and confirmed."""
    return made(START, CONFIRM, study=HELD_OUT)


@pytest.fixture
def ready(made: Made) -> Cli:
    """The command line in a folder where a search with test images has run."""
    return made(START, study=HELD_OUT)


def test_confirm_ranks_by_means_and_says_how_to_read_it(searched: Cli) -> None:
    best = [row["trial"] for row in searched.json("trials --top 3")]
    assert searched.json("status")[0]["confirmation"] is None
    assert "confirm" not in searched.ok("status")
    out = searched.ok(CONFIRM)
    for words in (
        "tiny/confirm-01 has 12 finished trials; 12 of them now",
        "score before",
        "over 4 repeats on the same 40 validation examples",
        "covers other seeds and other validation examples",
    ):
        assert words in out
    assert out.splitlines()[-1].startswith("next: ")
    assert out.splitlines()[-1] in searched.ok("checklist")
    table = [line.split() for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert {int(row[0]) for row in table} == set(best)
    means = [float(row[1]) for row in table]
    assert means == sorted(means, reverse=True)
    assert all(len(line) <= 80 for line in out.splitlines() if line[:1] == " ")


def test_for_programs_again_and_more(confirmed: Cli) -> None:
    plain = confirmed.json(CONFIRM)
    names = ("confirmation", "stage", "metric", "level", "run_now")
    assert [plain[name] for name in names] == ["tiny/confirm-01", "tiny/stage-01", "validation_accuracy", 0.95, 0]
    first, *others = plain["settings"]
    assert first["p"] is None
    assert all(setting["p"] is not None for setting in others)
    rows = confirmed.csv(CONFIRM)
    assert [(int(row["trial"]), float(row["lr"]), float(row["low"])) for row in rows] == [
        (setting["trial"], setting["params"]["lr"], setting["low"]) for setting in plain["settings"]
    ]
    again = confirmed("confirm tiny/confirm-01 --top 3 --repeats 4 --engine inline")
    assert again.out.startswith("tiny/confirm-01 has 12 finished trials; nothing was left to do")
    assert "tiny/confirm-01 has 12 trials already" in again.err
    more = confirmed.json("confirm tiny/stage-01 --engine inline --top 4 --repeats 5")
    assert more["run_now"] == 4 * 5 - 3 * 4
    assert {setting["repeats"] for setting in more["settings"]} == {5}


def test_the_search_goes_on_as_if_it_were_not_there(confirmed: Cli) -> None:
    study = optuna.load_study(study_name="tiny/confirm-01", storage=f"sqlite:///{DB}")
    assert [trial.number for trial in study.trials] == list(range(12))
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 3
    assert (study.user_attrs["hpsearch:kind"], study.user_attrs["hpsearch:parent"]) == ("confirm", 1)
    assert [row["stage"] for row in confirmed.json("status")] == ["tiny/stage-01"]
    assert confirmed(f"{START} --trials 9").code == 0
    assert len(confirmed.json("trials")) == 9
    assert "made tiny/stage-02" in confirmed.ok("narrow --top 3")


def test_status_best_and_narrow_know_of_it(confirmed: Cli) -> None:
    settings = confirmed.json(CONFIRM)["settings"]
    order = [setting["trial"] for setting in settings]
    (row,) = confirmed.json("status")
    assert (row["confirmation"]["first"], row["confirmation"]["mean"]) == (order[0], settings[0]["mean"])
    (line,) = [line for line in confirmed.ok("status").splitlines() if line.startswith("tiny/confirm-01")]
    assert line.split()[1:6] == ["stage-01", "3", "12", "of", "12"]
    best = confirmed.json("best")
    assert best["confirmation"]["first"] == order[0]
    agrees = "" if order[0] == best["trial"] else ", not this one"
    last = confirmed.ok("best").splitlines()[-1]
    assert last.startswith(f"tiny/confirm-01 puts trial {order[0]} first{agrees}: mean ")
    assert f"ranges of the best 2 of 3 confirmed trials ({order[0]}, {order[1]})" in confirmed.ok(
        "narrow --from confirm --top 2 --dry-run"
    )
    assert len(confirmed.json("narrow --from confirm --dry-run")["used"]) == 3  # all, unless told otherwise
    plain = confirmed.json("narrow --from confirm --top 2")
    assert plain["used"] == order[:2] == confirmed.json("status")[1]["trials_used"]
    study = optuna.load_study(study_name="tiny/stage-02", storage=f"sqlite:///{DB}")
    assert study.user_attrs["hpsearch:rule"]["rule"] == plain["rule"]
    assert [setting["trial"] for setting in plain["rule"]["confirmed"]] == order


def test_an_unfinished_confirmation_decides_nothing(confirmed: Cli) -> None:
    said = confirmed.ok(MARKDOWN)
    assert "# Hyperparameter search tiny" in said
    assert "expected when trained again" in said
    store = open_store(DB, write=True)
    (stage,) = store.stages()
    planned(store, stage, best_settings(store, stage, 3), 6)  # six places more than were run
    store.close()
    said = confirmed.ok(MARKDOWN)
    assert "expected when trained again" not in said
    assert "It is not complete: 6 trials are still to be run." in said
    for command in ("narrow --from confirm --dry-run", "evaluate"):
        confirmed.refused(command, says="tiny/confirm-01 is not complete: 12 of 18 trials have finished")


def test_the_first_look_says_what_was_scored_and_the_second_is_refused(ready: Cli) -> None:
    best = ready.json("best")
    out = ready.ok("evaluate")
    assert out.startswith(f"tiny/stage-01 trial {best['trial']}: lr = ")
    for words in (
        "chosen: it has the best score; there are too few trials near it to learn from",
        "trained on 100 examples (60 train, 40 validation) for 3 epochs",
        "of 100 examples)",
        "mistakes; the most confident:\n",
    ):
        assert words in out
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("chosen"))
    assert "--again" in ready.refused("evaluate", says="hpsearch: tiny was evaluated on 20")
    assert "evaluation 2 on this test set: no longer an unbiased estimate" in ready.ok("evaluate --again")
    assert "evaluation 3 on" in ready.ok("evaluate --again")


def test_an_evaluation_for_programs_and_its_files(ready: Cli) -> None:
    plain = ready.json("evaluate --epochs 2 --seed 7 --plot c.html --mistakes m.html --save net.npz")
    assert [plain[name] for name in ("epochs", "seed", "look", "images")] == [2, 7, 1, 100]
    assert plain["hits"] == sum(plain["confusion"][i][i] for i in range(10))
    assert plain["accuracy"] == plain["hits"] / 100
    low, high = plain["interval"]
    assert low < plain["accuracy"] < high
    probabilities = [mistake["probability"] for mistake in plain["mistakes"]]
    assert len(probabilities) == 100 - plain["hits"]
    assert probabilities == sorted(probabilities, reverse=True)
    (row,) = ready.csv("evaluate --epochs 2 --seed 7 --again")
    assert str(plain["accuracy"]) in row.values()
    for name, words in (("c.html", "predicted as"), ("m.html", "most confident")):
        assert words in Path(name).read_text(encoding="utf-8")
    about = load_model(Path("net.npz")).about
    assert (about["test_accuracy"], about["trained_on"]) == (plain["accuracy"], 100)
    assert "validation_accuracy" not in about  # of images that it was trained on
    assert about["settings"]["lr"] == plain["params"]["lr"]


def test_the_saved_network_is_that_of_the_trial_which_was_chosen(ready: Cli) -> None:
    best = ready.json("best")
    ran = ready("evaluate --best --save own.npz")
    assert f"the network is in own.npz: tiny/stage-01 trial {best['trial']} trained again" in ran.err
    assert "its own network, trained on 60 examples again with its seed for 3 epochs" in ran.out
    about = load_model(Path("own.npz")).about
    assert (about["trial"], about["validation_accuracy"], about["trained_on"]) == (
        best["trial"],
        best["validation_accuracy"],
        60,
    )
    given = "--stage 1 --trial 2"
    anew = ready(f"evaluate --again {given} --seed 3 --save new.npz").err
    assert "the network is in new.npz: a new one, trained with the values of tiny/stage-01 trial 2" in anew
    text = "this is not the network of tiny/stage-01 trial 2: its validation_accuracy is "
    assert text not in ready(f"evaluate --again {given}").err
    with closing(sqlite3.connect(DB)) as database, database:
        database.execute("UPDATE trial_values SET value = 0.123 WHERE trial_id = 3")
    assert text in ready(f"evaluate --again {given}").err


def test_a_confirmed_search_is_evaluated_by_its_first(confirmed: Cli) -> None:
    order = confirmed.json(CONFIRM)["settings"]
    assert "not in the export: tiny/confirm-01;" in confirmed("export --out a.json").err
    out = confirmed.ok("evaluate --confirmed")
    assert out.startswith(f"tiny/stage-01 trial {order[0]['trial']}: ")
    assert "chosen: the confirmation of tiny/stage-01 puts its values first" in out
    assert ", expected when trained again" in out
    assert "not in the export: tiny/confirm-01, 1 evaluation on the test set;" in confirmed("export --out b.json").err
    page = confirmed.ok(MARKDOWN)
    for words in ("**Test accuracy 0.", "Run again 4 times with other seeds", "On the test set of 100 examples"):
        assert words in page
    given = confirmed.json(f"evaluate --again --stage 1 --trial {order[2]['trial']}")
    assert (given["trial"], given["chosen"], given["params"]) == (order[2]["trial"], "asked", order[2]["params"])


def test_values_that_diverge_cost_no_look(cli: Cli, tiny: Path) -> None:
    """Decay of more than all of a weight a step: it grows, and in many more epochs than the trial's without end."""
    text = HELD_OUT.replace("epochs = 3", "epochs = 1")
    text = text.replace("low = 1e-3, high = 1.0", "low = 1e4, high = 1e6")
    tiny.write_text(text.replace("low = 1e-8, high = 1e-4", "low = 1e-3, high = 1e-2"))
    assert cli(START).code == 0
    trial = cli.json("trials --state complete")[0]["trial"]
    cli.refused(f"evaluate --stage 1 --trial {trial} --epochs 200", says="The test set was not read", code=1)
    study = optuna.load_study(study_name="tiny/stage-01", storage=f"sqlite:///{DB}")
    assert "hpsearch:evaluations" not in study.user_attrs


def test_the_network_is_kept_though_the_screen_is_gone(ready: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no second look."""

    def gone(*arguments: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("hpsearch.cli.models._show_evaluation", gone)
    assert ready("evaluate --save net.npz").code == 1
    assert load_model(Path("net.npz")).network.sizes[-1] == 10


def test_trials_of_others_are_not_trained_here_and_nobody_waits_for_them(cli: Cli, empty_database: bytes) -> None:
    Path("theirs.db").write_bytes(empty_database)
    study = optuna.create_study(storage="sqlite:///theirs.db", study_name="theirs")
    study.optimize(lambda trial: trial.suggest_float("lr", 1e-4, 1, log=True), n_trials=6)
    study.ask()  # never ends
    cli.ok("import sqlite:///theirs.db")
    for command in (CONFIRM, "evaluate"):
        assert "without a study file" in cli.refused(command, says="theirs was imported from")
    assert cli.ok("status --watch --until-done --every 0.1").splitlines()[-1].endswith("done")
    assert "no more can be added to them here" in cli.ok("checklist")


def test_texts_of_others_do_not_steer_the_terminal(cli: Cli) -> None:
    rows = "".join(f"{0.1 * (n + 1)},{'blue' if n % 2 else chr(27) + '[31mred'}\n" for n in range(8))
    Path("old.csv").write_text(f"accuracy,colour\n{rows}")
    cli.ok("import old.csv --metric accuracy --parameter colour")
    shown = cli.ok("trials") + cli.ok("best") + cli.ok(MARKDOWN)
    assert "\x1b" not in shown
    assert "\\x1b[31mred" in shown
