"""What each command does and prints when all is well."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import click
import optuna
import pytest
from commands import Cli

from hpsearch.cli.app import COMMANDS, app
from hpsearch.study_file import find, shipped_text


def rows(text: str) -> list[dict[str, Any]]:
    """JSON output as a list of rows."""
    parsed: list[dict[str, Any]] = json.loads(text)
    return parsed


def test_the_table_of_commands_has_their_help(cli: Cli) -> None:
    from hpsearch import __version__

    assert cli("--version").out == f"hpsearch {__version__}\n"
    assert cli().out == cli("--help").out
    context = click.Context(app)
    for name, (_, line) in COMMANDS.items():
        command = app.get_command(context, name)
        assert command is not None
        assert (command.help or "").strip().splitlines()[0] == line


def test_start_says_the_best_trials_and_what_is_next(cli: Cli, tiny: Path) -> None:
    ran = cli("start", "tiny.toml", "--engine", "inline")
    assert ran.code == 0
    assert "tiny/stage-01 has 8 finished trials; 8 of them now" in ran.out
    assert "one standard error" in ran.out
    following = ran.out.splitlines()[-1]
    assert following == "next: hpsearch start tiny --trials 100    hpsearch dashboard"
    assert following.split("    ")[0].removeprefix("next: ") in cli("findings").out
    best = rows(cli("trials", "--top", "1", "--format", "json").out)[0]
    assert f"best validation_accuracy {best['validation_accuracy']:.4g}" in ran.out


def test_start_again_does_only_what_is_missing(searched: Cli) -> None:
    before = searched("trials", "--format", "json").out
    assert "nothing was left to do" in searched("start", "tiny.toml", "--engine", "inline").out
    assert searched("trials", "--format", "json").out == before
    assert "2 of them now" in searched("start", "tiny.toml", "--trials", "10", "--engine", "inline").out
    after = rows(searched("trials", "--format", "json").out)
    assert after[:8] == rows(before)
    assert [row["trial"] for row in after] == list(range(10))


def test_a_search_goes_on_without_its_file(searched: Cli, tiny: Path) -> None:
    tiny.unlink()
    ran = searched("start", "tiny", "--trials", "9", "--engine", "inline")
    assert ran.code == 0
    assert "1 of them now" in ran.out


def test_an_edited_study_file_is_noticed(searched: Cli, tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("epochs = 3", "epochs = 7"))
    ran = searched("start", "tiny.toml", "--trials", "9", "--engine", "inline")
    assert ran.code == 0
    assert "training.epochs: 3 -> 7" in ran.err
    trial = optuna.load_study(study_name="tiny/stage-01", storage="sqlite:///studies/hpsearch.db").trials[8]
    assert len(trial.intermediate_values) == 3  # as it was begun


def test_the_whole_workflow_unattended(cli: Cli, tiny: Path) -> None:
    command = ("start", "tiny.toml", "--engine", "inline", "--stages", "3", "--top", "3")
    ran = cli(*command)
    assert ran.code == 0
    status = rows(cli("status", "--format", "json").out)
    assert [(row["stage"], row["from"], row["finished"]) for row in status] == [
        ("tiny/stage-01", None, 8),
        ("tiny/stage-02", "stage-01", 8),
        ("tiny/stage-03", "stage-02", 8),
    ]
    assert [len(row["trials_used"]) for row in status] == [0, 3, 3]
    # Again: nothing changes.
    assert cli(*command).code == 0
    assert rows(cli("status", "--format", "json").out) == status


def test_narrow_shows_ranges_evidence_and_the_next_command(searched: Cli) -> None:
    ran = searched("narrow", "--top", "3", "--dry-run")
    assert ran.code == 0
    assert "evidence" in ran.out
    assert "nothing was written" in ran.out
    assert len(rows(searched("status", "--format", "json").out)) == 1
    assert "made tiny/stage-02; next: hpsearch start" in searched("narrow", "--top", "3").out
    assert "replaced tiny/stage-02" in searched("narrow", "--top", "4").out
    assert rows(searched("status", "--format", "json").out)[1]["trials_used"] != []


def test_narrowing_again_is_refused_once_the_next_stage_has_trials(searched: Cli) -> None:
    assert searched("narrow", "--top", "3").code == 0
    assert searched("start", "tiny.toml", "--trials", "2", "--engine", "inline").code == 0
    ran = searched("narrow", "--top", "3", "--stage", "1")
    assert ran.code == 2
    assert "--branch" in ran.err
    assert "made tiny/stage-03" in searched("narrow", "--top", "3", "--stage", "1", "--branch").out
    assert rows(searched("status", "--format", "json").out)[2]["from"] == "stage-01"


def test_failures_say_why(cli: Cli, tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("low = 1e-3, high = 1.0", "low = 1e30, high = 1e32"))
    ran = cli("start", "tiny.toml", "--engine", "inline")
    assert ran.code == 0
    assert "(8 failed)" in ran.out
    failed = rows(cli("trials", "--state", "fail", "--format", "json").out)
    assert len(failed) == 8
    assert all("loss became" in row["reason"] for row in failed)


def test_init_writes_a_file_that_check_accepts(cli: Cli, tmp_path: Path) -> None:
    ran = cli("init", "mine")
    assert (ran.code, (tmp_path / "studies" / "mine.toml").is_file()) == (0, True)
    assert cli("init", "mine").code == 2
    assert cli("init", "mine", "--force").code == 0
    checked = cli("check", "mine", "--trials", "4", "--jobs", "1")
    assert checked.code == 0
    assert "784-100-100-10" in checked.out
    assert not (tmp_path / "studies" / "hpsearch.db").exists()


def test_check_says_what_a_stage_amounts_to(cli: Cli) -> None:
    ran = cli("check", "--jobs", "1", "--trials", "2")
    assert ran.code == 0
    for part in ("400 train, 100 validation", "784-100-100-100-100-100-100-10", "130,010 parameters", "13.7 GFLOP"):
        assert part in ran.out


def test_check_and_init_for_programs(cli: Cli) -> None:
    as_json = ("--format", "json")
    assert json.loads(cli("init", "mine", *as_json).out) == {"search": "mine", "path": "studies/mine.toml"}
    check = ("check", "mine", "--trials", "4", "--jobs", "2", "--pruner", "halving")
    found = json.loads(cli(*check, *as_json).out)
    assert (found["search"], found["sizes"], found["trials"], found["jobs"]) == ("mine", [784, 100, 100, 10], 4, 2)
    assert found["parameters"] == 784 * 100 + 100 + 100 * 100 + 100 + 100 * 10 + 10
    assert found["study_file"] == find("mine").with_pruning("halving").to_dict()
    (row,) = csv.DictReader(io.StringIO(cli(*check, "--format", "csv").out))
    assert (row["parameters"], json.loads(row["study_file"])) == (str(found["parameters"]), found["study_file"])


def test_storage_comes_from_the_environment_too(cli: Cli, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPSEARCH_STORAGE", "elsewhere.db")
    assert cli("start", "tiny.toml", "--engine", "inline").code == 0
    assert (tiny.parent / "elsewhere.db").is_file()
    assert not (tiny.parent / "studies").exists()


def test_several_searches_in_one_database_are_told_apart(searched: Cli, tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace('"tiny"', '"other"'))
    assert searched("start", "tiny.toml", "--engine", "inline").code == 0
    ran = searched("best")
    assert ran.code == 2
    assert "other, tiny" in ran.err
    assert searched("best", "tiny").code == 0


def test_the_shipped_default_is_the_repository_file() -> None:
    repository = Path(__file__).resolve().parents[2] / "studies" / "mnist.toml"
    assert shipped_text() == repository.read_text(encoding="utf-8")
    assert find(None).name == "mnist"
