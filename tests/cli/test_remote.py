"""``hpsearch --server``: what is sent is what was typed; output and files are those of the same command here."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import click
import pytest
import served
from commands import HELD_OUT, START, TINY, Cli, Ran
from pydantic import TypeAdapter

from hpsearch import Action, BadInput, Client, UnknownSearch
from hpsearch.__main__ import main
from hpsearch.cli import remote
from hpsearch.cli.app import COMMANDS, app
from hpsearch.records import Job, Line
from hpsearch.service import commands
from hpsearch.service.actions import JobAction
from hpsearch.service.client import SERVER, TOKEN, CommandResult, answer_of
from hpsearch.service.commands import Command
from hpsearch.service.credentials import opened
from hpsearch.service.roles import Role
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
        plain = json.dumps({"kind": action.kind, "arguments": action.arguments})
        job: Any = TypeAdapter(JobAction).validate_json(plain)
        handed.append(job.action)
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


def test_what_makes_no_sense_on_a_server_says_so_in_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    remotely = f"--server {HERE}"
    cli.refused(f"{remotely} train", says="hpsearch train uses no study database, and runs here; leave out --server")
    cli.refused(f"{remotely} token list", says="hpsearch token is run on the server's own machine; leave out --server")
    cli.refused(f"{remotely} db check", says="it works on the database itself: run it where the server runs")
    cli.refused(f"{remotely} import x.csv", says="run it where the server runs, with --storage")
    cli.refused(f"{remotely} status --watch", says="--watch with --server: the server's page shows it live")
    cli.refused(f"{remotely} best --storage x.db", says="--storage with --server: the server has its own")
    cli.refused(f"{remotely} evaluate --save x.npz", says="--save with --server: it works only where the server runs")
    cli.refused(f"{remotely} evaluate --best --confirmed", says="choose different values; give one of them")
    cli.refused(f"{remotely} status --nope", says="No such option '--nope' - see `hpsearch status --help`")
    cli.refused("--server nonsense status", says="--server nonsense: no address of a server; give one such as http://")
    cli.refused(f"{remotely} status", says=f"cannot reach {HERE}: Connection refused", code=1)
    monkeypatch.setenv(SERVER, HERE)
    cli.refused("db check", says="run it where the server runs")
    assert cli.ok("docs").startswith("topic")  # what is done here anyway is done whatever the environment says


JOB = Job(7, (), "tiny", "running", "ada", datetime(2026, 1, 2, tzinfo=UTC))


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> dict[str, Job]:
    """A job that prints a line on each stream; `ended` is what it is at its end."""
    ended = {"ended": JOB}

    def follow(*_: object) -> Iterator[Line]:
        yield Line(1, "stdout", "a result")
        yield Line(2, "stderr", "a note")
        if ended["ended"] is JOB:
            raise KeyboardInterrupt

    monkeypatch.setattr(Client, "submit", lambda *_: JOB)
    monkeypatch.setattr(Client, "follow", follow)
    monkeypatch.setattr(Client, "job", lambda *_: ended["ended"])
    return ended


def test_ctrl_c_leaves_the_job_running_and_says_how_to_stop_it(cli: Cli, job: dict[str, Job]) -> None:
    ran = cli(f"--server {HERE} start tiny")
    stopped = "hpsearch: job 7 keeps running on the server; `hpsearch stop tiny` stops it\n"
    assert (ran.code, ran.out, ran.err) == (130, "a result\n", f"a note\n{stopped}")


def test_the_exit_code_is_the_job_s(cli: Cli, job: dict[str, Job]) -> None:
    job["ended"] = replace(JOB, state="failed", exit_code=1)
    assert cli(f"--server {HERE} start tiny") == Ran(1, "a result\n", "a note\n")
    job["ended"] = replace(JOB, state="stopped", exit_code=None, reason="stopped before it began")
    said = "a note\nhpsearch: job 7: stopped before it began\n"
    assert cli(f"--server {HERE} start tiny") == Ran(130, "a result\n", said)
    job["ended"] = replace(JOB, state="failed", exit_code=None, reason="3 processes have died with it")
    said = "a note\nhpsearch: job 7: 3 processes have died with it\n"
    assert cli(f"--server {HERE} start tiny") == Ran(1, "a result\n", said)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets a server answer a command with files, and with its folder where they were in what it printed."""

    def given(**files: bytes) -> None:
        named = {name.replace("_", "."): content for name, content in files.items()}
        out = f"wrote {', '.join(f'/tmp/x/{name}' for name in named)}\n"
        monkeypatch.setattr(Client, "run", lambda *_, **__: CommandResult(0, out, "", "/tmp/x", named))

    return given


def test_files_are_written_where_they_would_be(cli: Cli, answer: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    answer(p_html=b"page")
    assert cli(f"--server {HERE} plot pair --out below/p.html") == Ran(0, "wrote below/p.html\n", "")
    assert (tmp_path / "below" / "p.html").read_bytes() == b"page"
    assert cli(f"--server {HERE} plot pair --out {tmp_path}/p.html").out == f"wrote {tmp_path}/p.html\n"
    answer(**{"../evil": b"x", "/etc/evil": b"x"})
    cli.ok(f"--server {HERE} plot pair --out below/p.html")
    assert {path.name for path in tmp_path.iterdir()} == {"below", "p.html"}
    cli.refused(f"--server {HERE} plot pair --out nowhere/p.html", says="cannot write nowhere/")


def test_files_that_exist_are_kept_without_force(cli: Cli, answer: Callable[..., None], tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("mine")
    answer(r_csv=b"rows")
    cli.refused(f"--server {HERE} export --out r.csv", says="r.csv exists; add --force to overwrite it")
    cli.refused(f"--server {HERE} report --out r.csv", says="r.csv exists and is no report of hpsearch")
    assert (tmp_path / "r.csv").read_text() == "mine"
    for command in ("export", "report"):
        cli.ok(f"--server {HERE} {command} --out r.csv --force")
    assert (tmp_path / "r.csv").read_text() == "rows"


def test_a_study_file_is_sent_before_it_is_started(
    cli: Cli, tiny: Path, asked: list[Action], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, Any]] = []
    monkeypatch.setattr(Client, "send_study", lambda _, name, study: sent.append((name, study)))
    cli(f"--server {HERE} best tiny.toml")
    assert sent == []
    cli(f"--server {HERE} start tiny.toml")
    assert sent == [("tiny", tomllib.loads(TINY))]
    assert [action.arguments["search"] for action in asked] == ["tiny", "tiny"]


# What is printed, and the files that are written, are compared.
READING = [
    *("status", "status tiny --format json", "trials --top 3", "trials --stage 1 --trial 2 --format json"),
    *("best", "best --format csv", "recommend", "recommend --format json", "checklist", "checklist --format csv"),
    *("compare tiny/stage-01 tiny/stage-02", "narrow --top 3 --dry-run", "narrow --top 3 --dry-run --format json"),
    *("plot pair --out below/pair.html", "plot stages", "report --out - --format md", "report --out below/r.html"),
    *("export", "export --out r.csv", "export --out below/r.json", "export --columns", "export --out r.csv"),
    *("best nope", "trials --stage 9", "narrow --top 99", "stop", "delete tiny", "baseline set tiny/stage-01/2"),
    *("compare tiny --format csv", "retry", "delete tiny/stage-02 --yes --no-backup"),
]
_DURATION = r"\d+\.\d+(?= (s|trials/s|s a trial)\b)"
_EVALUATED = r"^\d{4}-\d\d-\d\dT[\d:+]+"  # when, the first column of an evaluation
PROCESSES = ["start tiny --trials 10 --engine inline", "evaluate --format csv", "best nope"]


@dataclass(frozen=True)
class Folders:
    """Where the same search has run: the user's folder, and a server's; and a folder of who asks that server."""

    here: Path
    there: Path
    away: Path


def copied(root: Path, folders: Callable[..., Path]) -> Folders:
    """These folders below another, with the same two stages here and there."""
    both = Folders(*(root / name for name in ("here", "there", "away")))
    for folder in (both.here, both.there):
        shutil.copytree(folders(HELD_OUT, START, "narrow --top 3", START), folder)
    for folder in (both.here, both.away):
        (folder / "below").mkdir(parents=True)
    return both


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command in a folder; what it prints is without how long trials took."""

    def run(folder: Path, line: str, *before: str) -> Ran:
        monkeypatch.chdir(folder)
        capfd.readouterr()
        code = main([*before, *line.split()])
        return Ran(code, *(re.sub(f"{_DURATION}|{_EVALUATED}", "#", text, flags=re.M) for text in capfd.readouterr()))

    return run


async def in_this_process(line: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """As `commands.child`, in 50 ms in place of 600."""
    streams = [TextIOWrapper(BytesIO(), "utf-8") for _ in range(2)]
    with chdir(folder), pytest.MonkeyPatch.context() as patch, redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        for name in ("HPSEARCH_STORAGE", SERVER, TOKEN):
            patch.delenv(name, raising=False)
        patch.setenv("HPSEARCH_STORAGE", environment["HPSEARCH_STORAGE"])
        code = main(line)
    for stream in streams:
        stream.seek(0)
    return code, streams[0].read(), streams[1].read()


def test_every_command_that_is_done_at_once_prints_and_writes_what_it_does_here(
    tmp_path: Path, folders: Callable[..., Path], ran: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = copied(tmp_path, folders)
    assert {parsed(line.split())[0] for line in READING} == {name for name in SENT if name not in remote.JOBS}
    monkeypatch.setattr(commands, "child", in_this_process)
    monkeypatch.chdir(copies.there)
    with served.client("studies/hpsearch.db") as http:

        def answered(_: Client, kind: str, /, **arguments: Any) -> CommandResult:
            monkeypatch.chdir(copies.there)
            done = http.post("/hp/api/v1/commands", json={"kind": kind, "arguments": arguments}).json()
            monkeypatch.chdir(copies.away)
            return answer_of(done)

        monkeypatch.setattr(Client, "run", answered)
        for line in READING:
            assert ran(copies.away, line, "--server", HERE) == ran(copies.here, line), line
    assert written(copies.away) == written(copies.here)
    assert len(written(copies.away)) == 6


# The random names that Plotly gives to its figures, and when an export was made.
_PASSING = r'[0-9a-f-]{36}|"exported": "[^"]+"'


def written(folder: Path) -> Mapping[str, str]:
    """The files that commands wrote, by name."""
    files = [path for ending in ("html", "csv", "json") for path in folder.rglob(f"*.{ending}")]
    return {str(path.relative_to(folder)): re.sub(_PASSING, "", path.read_text("utf-8")) for path in files}


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory, folders: Callable[..., Path]) -> Iterator[tuple[Folders, Client]]:
    """The same search here and at a server that runs, and a client of this server."""
    copies = copied(tmp_path_factory.mktemp("hosted"), folders)
    with opened(str(copies.there / "studies" / "hpsearch.db")) as credentials:
        token = credentials.create("ada", Role.ADMIN)
    with served.server(copies.there) as server:
        yield copies, Client(server.url, token)


def test_a_server_s_processes_do_what_is_done_here(
    hosted: tuple[Folders, Client], ran: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, client = hosted
    monkeypatch.setenv(TOKEN, client.token or "")
    for line in PROCESSES:
        assert ran(copies.away, line, "--server", client.url) == ran(copies.here, line), line


def test_a_client_reads_what_the_command_line_prints_as_json(
    hosted: tuple[Folders, Client], ran: Callable[..., Ran]
) -> None:
    copies, client = hosted

    def printed(line: str) -> Any:
        return json.loads(ran(copies.there, f"{line} --format json").out)

    assert client.status("tiny") == printed("status tiny")
    assert client.trials("tiny", 1, state="complete") == printed("trials tiny --stage 1 --state complete")
    assert client.trial("tiny", 1, 2) == printed("trials tiny --stage 1 --trial 2")
    assert client.best("tiny", stage=1) == printed("best tiny --stage 1")
    assert client.recommend("tiny") == printed("recommend tiny")
    checklist = client.checklist("tiny", top=3)
    assert [action["kind"] for action in checklist.pop("actions")]
    assert checklist == printed("checklist tiny --top 3")
    assert client.compare("tiny/stage-01", "tiny/stage-02") == printed("compare tiny/stage-01 tiny/stage-02")
    assert client.narrow("tiny", top=3, dry_run=True) == printed("narrow tiny --top 3 --dry-run")
    assert client.report("tiny", "md") == ran(copies.there, "report tiny --format md --out -").out
    assert client.figure("tiny", "pair", parameter=["lr", "weight_decay"])["data"]
    assert client.searches()[-1]["search"] == "tiny"


def test_a_client_s_job_is_listed_logged_and_seen(hosted: tuple[Folders, Client]) -> None:
    _, client = hosted
    sent = tomllib.loads(TINY.replace('"tiny"', '"sent"'))
    assert client.send_study("sent", sent) == client.send_study("sent", sent)
    job = client.start("sent", trials=8, engine="inline")
    lines = [*client.follow(job)]
    first = next(line.text for line in lines if line.stream == "stdout")
    assert first.startswith("sent/stage-01 has 8 finished trials")
    done = client.wait(job)
    assert (done.state, done.exit_code, done.by) == ("done", 0, "ada")
    assert client.jobs(search="sent") == [done]
    assert client.log(job, after=lines[-2].id) == lines[-1:]
    assert client.cancel(job) == done
    assert client.stop("sent") == {"asked": [], "jobs": []}
    events = client.events("sent")
    assert next(events).name == "reset"
    again = client.start("sent", trials=8)
    assert (next(events).data["id"], next(events).data["search"]) == (again.id, "sent")
    with pytest.raises(UnknownSearch, match="no search 'nope'"):
        client.best("nope")
    with pytest.raises(BadInput, match="asks for a token: "):
        Client(client.url, "").searches()
