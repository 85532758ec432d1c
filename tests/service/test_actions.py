"""What may be asked for over HTTP, what it becomes as a command line, and the stage that it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
import made_stages
import pytest
from commands import TINY
from pydantic import TypeAdapter, ValidationError

from hpsearch.cli.app import COMMANDS, app
from hpsearch.errors import BadInput
from hpsearch.records import Action
from hpsearch.service.actions import JobAction, bad_argument, command_line, settle_stages
from hpsearch.service.pages.steps import label
from hpsearch.service.settings import Settings
from hpsearch.store import open_store
from hpsearch.wording import option, words

JOBS: TypeAdapter[Any] = TypeAdapter(JobAction)
KINDS = {
    get_args(of.model_fields["kind"].annotation)[0]: of.model_fields["arguments"].annotation
    for of in get_args(get_args(JobAction)[0])
}


def requested(kind: str, arguments: dict[str, Any]) -> Action:
    """An action as it comes over HTTP."""
    action: Action = JOBS.validate_python({"kind": kind, "arguments": arguments}).action
    return action


@pytest.mark.parametrize("kind", KINDS)
def test_every_argument_is_one_of_the_command(kind: str) -> None:
    with click.Context(app) as context:
        command = app.get_command(context, kind)
    assert kind in COMMANDS
    assert label(Action(kind))
    assert isinstance(command, click.Command)
    options = {name for parameter in command.params for name in parameter.opts}
    places = {parameter.name for parameter in command.params if isinstance(parameter, click.Argument)}
    assert places & {"search", "study"}
    known = {"by": {"--confirmed", "--best"}, "search": set[str]()}
    for name in KINDS[kind].model_fields:
        assert known.get(name, {option(name)}) <= options, name


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("begin", {}, "input tag 'begin'"),
        ("start", {"data_dir": "/etc"}, "data_dir=/etc: extra inputs"),
        ("start", {"storage": "x.db"}, "storage=x.db: extra inputs"),
        ("start", {"scheduler": "tcp://x"}, "scheduler=tcp://x: extra inputs"),
        ("start", {"engine": "dask"}, "engine=dask: input should be 'pool' or 'inline'"),
        ("start", {"search": "../secret"}, "search=../secret: string should match"),
        ("start", {"search": "--storage=x.db"}, "string should match"),
        ("start", {"search": "studies.toml"}, "it is a file"),
        ("start", {"search": "mnist\n"}, "string should match"),
        ("start", {"trials": "8"}, "trials=8: input should be a valid integer"),
        ("start", {"trials": True}, "input should be a valid integer"),
        ("start", {"trials": 10**10}, "less than or equal"),
        ("evaluate", {"save": "x.npz"}, "extra inputs"),
        ("retry", {"numbers": [1, -1]}, "numbers.1=-1: input should be greater than"),
    ],
)
def test_what_may_not_be_asked_for_is_refused_in_one_line(kind: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        requested(kind, arguments)
    assert says in str(bad_argument(refused.value.errors()))


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (Action("start", {"search": "mnist", "trials": 8}), "start --trials=8 -- mnist"),
        (
            Action("start", {"search": "mnist", "until": "--yes", "output": "json"}),
            "start --until=--yes --format=json -- mnist",
        ),
        (Action("retry", {"numbers": [1, 2], "stage": 1}), "retry --trial=1 --trial=2 --stage=1"),
        (Action("evaluate", {"by": "best", "again": True}), "evaluate --again --best"),
        (Action("narrow", {"source": "confirm", "expand": False, "top": None}), "narrow --from=confirm"),
        (
            Action("plot", {"kind": "pair", "search": "-x", "parameters": ["a", "b"]}),
            "plot --parameter=a --parameter=b -- pair -x",
        ),
        (Action("trials", {"curves": False}), "trials --no-curves"),
        (Action("baseline set", {"search": "m/stage-01/7"}), "baseline set -- m/stage-01/7"),
    ],
)
def test_an_action_is_run_by_its_words_in_which_no_value_is_an_option(action: Action, line: str) -> None:
    assert words(action) == line.split()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A server over a database in which ``made`` has a stage with trials and one without, and ``tiny`` is a file."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.toml").write_text(TINY)
    (tmp_path / "studies" / "other.toml").write_text(TINY)
    store = open_store(str(tmp_path / "x.db"), create=True, write=True)
    made_stages.make(store, [0.5, 0.6], trials=2)
    made_stages.make(store, [], trials=0, number=2)
    store.close()
    return Settings(storage=str(tmp_path / "x.db"), studies=tmp_path / "studies")


@pytest.mark.parametrize(
    ("asked", "stages"),
    [
        ([("start", {"search": "made", "trials": 4})], [2]),
        ([("start", {"search": "made/stage-01"})], [1]),
        ([("start", {"search": "tiny"})], [1]),
        ([("confirm", {})], [1]),  # the latest that has trials
        ([("start", {}), ("confirm", {}), ("evaluate", {})], [2, 2, None]),
        ([("start", {"stage": 1}), ("narrow", {}), ("start", {})], [1, 1, None]),
        ([("start", {"search": "tiny"}), ("confirm", {"search": "tiny"})], [1, 1]),
    ],
)
def test_the_stage_is_settled_when_a_job_is_settle_stages(
    settings: Settings, asked: list[tuple[str, dict[str, Any]]], stages: list[int | None]
) -> None:
    settled = settle_stages([requested(*of) for of in asked], settings)
    assert [of.arguments["stage"] for of in settled] == stages
    assert all(of.arguments["search"] for of in settled)


@pytest.mark.parametrize(
    ("kind", "search", "says"),
    [
        ("confirm", "tiny", "no search 'tiny'"),
        ("start", "nothing", "no study file"),
        ("start", "other", "the study file other.toml is of the search tiny; rename it"),
    ],
)
def test_a_job_about_nothing_is_refused_at_the_door(settings: Settings, kind: str, search: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        settle_stages([Action(kind, {"search": search})], settings)
    assert says in str(refused.value)


def test_the_command_line_names_the_server_s_database_and_study_file(settings: Settings) -> None:
    line = command_line(Action("start", {"search": "tiny", "trials": 3}), settings)
    assert line == ["start", "--trials=3", f"--storage={settings.storage}", "--", str(settings.studies / "tiny.toml")]
    assert command_line(Action("confirm", {"search": "tiny"}), settings)[-1] == "tiny"
