"""``hpsearch --server``: what is sent is what was typed; output and files are those of the same command here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
import pytest
from commands import Cli
from pydantic import TypeAdapter

from hpsearch import Action, Client
from hpsearch.cli import remote
from hpsearch.cli.app import COMMANDS, app
from hpsearch.service.actions import action_of
from hpsearch.service.client import SERVER, TOKEN
from hpsearch.service.commands import Command
from hpsearch.wording import words

HERE = "http://127.0.0.1:1"  # nothing listens there
EXECUTION = "--jobs 2 --engine inline --lanes 3 --format json"
LIMITED = f"{EXECUTION} --trials 9 --stage 2 --timeout 10m --until score>=0.9 --max-failures 4"
LINES = [
    "start",
    f"start tiny {LIMITED} --stages 3 --top 4 --expand --seed 5 --pruner none --epochs 6",
    f"refine tiny {LIMITED} --sampler tpe --batch 4",
    f"confirm tiny {EXECUTION} --stage 1 --top 3 --repeats 4",
    "evaluate tiny --confirmed --epochs 3 --seed 2 --again --format csv",
    "evaluate tiny --best",
    "evaluate tiny --stage 1 --trial 0",
    "status",
    "status tiny --format csv",
    "trials tiny --stage 1 --top 3 --state complete --curves",
    "trials tiny/stage-01 --trial 0 --no-curves --format json",
    "best tiny --stage 2 --format json",
    "recommend tiny --stage 1 --format csv",
    "checklist tiny --top 4 --format json",
    "plot pair tiny --stage 1 --out pair.html --parameter lr --parameter b --top 4 --dark",
    "plot curves --quantity loss --out -",
    "report tiny --stage 1 --out page.md --format md",
    "compare tiny/stage-01/2 other --format json",
    "export tiny --out r.csv --format csv --what curves --stage 1",
    "export --columns",
    "narrow tiny --top 4 --from confirm --stage 1 --expand --rule order-statistics --regardless --epochs 3 --branch",
    "narrow --quantile 0.2 --dry-run --format json",
    "stop tiny --format json",
    "retry tiny --stage 1 --trial 0 --trial 3 --format csv",
    "delete tiny/stage-02 --with-descendants --yes --no-backup --format json",
    "baseline set tiny/stage-01/2 --format json",
]
# What is done with the files that come back, and what goes with --watch alone.
NOT_SENT = {"report --force", "report --open", "export --force", "status --trials"}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (SERVER, TOKEN):
        monkeypatch.delenv(name, raising=False)


def walk(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command by its words."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command)
    for each in command.list_commands(context):
        below = command.get_command(context, each)
        assert below is not None
        yield from walk(below, f"{name} {each}".strip())


EVERY = dict(walk(app))
SENT = [name for name in EVERY if name.split()[0] in (*remote.JOBS, *remote.AT_ONCE)]


def parsed(line: list[str]) -> tuple[str, Mapping[str, Any]]:
    """The command of a line, and its parameters."""
    [name] = [name for name in EVERY if line[: len(name.split())] == name.split()]
    return name, EVERY[name].make_context(name, line[len(name.split()) :]).params


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Action]:
    """The actions that the client hands in, none of which is carried out."""
    handed: list[Action] = []

    def submit(_: Client, action: Action) -> Any:
        handed.append(action_of(action.kind, json.loads(json.dumps(action.arguments))))
        raise KeyboardInterrupt

    def run(_: Client, kind: str, /, **arguments: Any) -> Any:
        command: Any = TypeAdapter(Command).validate_json(json.dumps({"kind": kind, "arguments": arguments}))
        handed.append(command.action)
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "submit", submit)
    monkeypatch.setattr(Client, "run", run)
    return handed


@pytest.mark.parametrize("line", LINES)
def test_the_server_s_command_is_the_one_that_was_typed(line: str, cli: Cli, asked: list[Action]) -> None:
    assert cli(f"--server {HERE} {line}").code == 130
    [action] = asked
    assert parsed(words(action)) == parsed(line.split())


def test_every_option_of_every_command_is_sent_or_refused() -> None:
    options = {f"{name} {of}" for name in SENT for param in EVERY[name].params for of in param.opts if of[:2] == "--"}
    refused = {f"{name} --{of.replace('_', '-')}" for name in SENT for of in remote.REFUSED}
    typed = {f"{parsed(line.split())[0]} {word}" for line in LINES for word in line.split() if word[:2] == "--"}
    assert options - refused - typed == NOT_SENT


def test_every_command_is_sent_or_says_why_not() -> None:
    tables = [*remote.JOBS, *remote.AT_ONCE, *remote.LOCAL, *remote.NOT_SENT]
    assert sorted(tables) == sorted(COMMANDS)
