"""What one feature makes of another's: imports, confirmations, looks at the test images and stopped trials together."""

from __future__ import annotations

import shutil
from pathlib import Path

import optuna
import pytest
from commands import HELD_OUT, START, Cli, Made

from hpsearch.__main__ import main
from hpsearch.nn import load_model
from hpsearch.search.confirmation import best_settings, planned
from hpsearch.store import open_store

DB = "studies/hpsearch.db"
CONFIRM = ("confirm", "--engine", "inline", "--top", "3", "--repeats", "4")


@pytest.fixture
def judged(made: Made) -> Cli:
    """The command line in a folder where a search with test images was run and confirmed."""
    return made(START, " ".join(CONFIRM), study=HELD_OUT)


def test_the_network_is_kept_though_the_screen_is_gone(judged: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no second look."""

    def gone(*arguments: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("hpsearch.cli.models._show_evaluation", gone)
    assert judged("evaluate", "--save", "net.npz").code == 1
    assert load_model(Path("net.npz")).network.sizes[-1] == 10


def test_an_export_says_what_it_leaves_behind(judged: Cli) -> None:
    assert "not in the export: tiny/confirm-01;" in judged("export", "--out", "a.json").err
    assert judged("evaluate").code == 0
    assert (
        "not in the export: tiny/confirm-01, 1 evaluation on the test set;" in judged("export", "--out", "b.json").err
    )


def unfinished(cli: Cli) -> None:
    """Let the confirmation have six places more than were run."""
    store = open_store(DB, write=True)
    (stage,) = store.stages()
    planned(store, stage, best_settings(store, stage, 3), 6)
    store.close()


def test_an_unfinished_confirmation_decides_nothing(judged: Cli) -> None:
    assert "# Hyperparameter search tiny" in judged("report", "--format", "md", "--out", "-").out
    assert "**Mean validation accuracy" in judged("report", "--format", "md", "--out", "-").out
    unfinished(judged)
    said = judged("report", "--format", "md", "--out", "-").out
    assert "**Mean validation accuracy" not in said
    assert "It is not complete: 6 trials are still to be run." in said
    for command in (("narrow", "--from", "confirm", "--dry-run"), ("evaluate",)):
        ran = judged(*command)
        assert ran.code == 2
        assert "tiny/confirm-01 is not complete: 12 of 18 trials have finished" in ran.err


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `elsewhere` copies."""
    path = tmp_path_factory.mktemp("imported")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        study = optuna.create_study(storage="sqlite:///theirs.db", study_name="theirs")
        study.optimize(lambda trial: trial.suggest_float("lr", 1e-4, 1, log=True), n_trials=6)
        study.ask()
        assert main(["import", "sqlite:///theirs.db", "--study-name", "theirs"]) == 0
    return path


@pytest.fixture
def elsewhere(cli: Cli, imported: Path, tmp_path: Path) -> Cli:
    """The command line in a folder where a study of Optuna's was imported, one of whose trials never ended."""
    shutil.copytree(imported, tmp_path, dirs_exist_ok=True)
    return cli


@pytest.mark.parametrize("command", [CONFIRM, ("evaluate",)])
def test_trials_of_others_are_not_trained_here(elsewhere: Cli, command: tuple[str, ...]) -> None:
    ran = elsewhere(*command)
    assert (ran.code, ran.out) == (2, "")
    assert "theirs was imported from" in ran.err
    assert "without a study file" in ran.err


def test_nobody_waits_for_what_others_left(elsewhere: Cli) -> None:
    ran = elsewhere("status", "--watch", "--until-done", "--every", "0.1")
    assert ran.code == 0
    assert ran.out.splitlines()[-1].endswith("done")
    assert "no more can be added to them here" in elsewhere("findings").out


def test_texts_of_others_do_not_steer_the_terminal(cli: Cli) -> None:
    rows = "".join(f"{0.1 * (n + 1)},{'blue' if n % 2 else chr(27) + '[31mred'}\n" for n in range(8))
    Path("old.csv").write_text(f"accuracy,colour\n{rows}")
    ran = cli("import", "old.csv", "--metric", "accuracy")
    assert ran.code == 0, ran.err
    shown = cli("trials").out + cli("best").out + cli("report", "--format", "md", "--out", "-").out
    assert "\x1b" not in shown
    assert "\\x1b[31mred" in shown
