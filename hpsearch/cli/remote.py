"""``hpsearch --server URL COMMAND``: a command is parsed here, carried out by a server, and printed here."""

from __future__ import annotations

import copy
import sys
import tomllib
import webbrowser
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hpsearch.errors import BadArgument, BadInput, Interrupted, ServerFailure
from hpsearch.files import content, expanded, replacing
from hpsearch.records import Action, Argument
from hpsearch.reports.file import check_out
from hpsearch.service.client import Client, CommandResult
from hpsearch.study_file import find

JOBS = ("start", "refine", "confirm", "evaluate")  # in the server's queue; the other commands are done at once
AT_ONCE = (
    *("status", "trials", "best", "recommend", "checklist", "plot", "report", "compare", "export"),
    *("narrow", "stop", "retry", "delete", "baseline"),
)
# Done here whatever the environment says, and why.
LOCAL = {
    **dict.fromkeys(
        ("init", "check", "train", "predict", "data", "model", "docs"), "uses no study database, and runs here"
    ),
    **dict.fromkeys(("serve", "token"), "is run on the server's own machine"),
}
NOT_SENT = {
    "db": "it works on the database itself: run it where the server runs",
    "import": "it reads files: run it where the server runs, with --storage",
}
# Options without a meaning for a server, and why.
REFUSED = {
    **dict.fromkeys(("storage", "data_dir", "scheduler", "other_storage"), "the server has its own"),
    **dict.fromkeys(("watch", "every", "until_done"), "the server's page shows it live"),
    **dict.fromkeys(("plot", "mistakes", "save", "to", "project"), "it works only where the server runs"),
}
_NAMES = {("start", "study"): "search"}  # arguments that the API calls otherwise


def sent(name: str, command: click.Command, server: str, *, explicit: bool) -> click.Command:
    """Return a command that a server carries out; one that uses no study database as it is.

    Args:
        name: Its name.
        command: The command, or a group of commands.
        server: The server's address.
        explicit: The user has named the server on this command line, not in the environment.

    Raises:
        BadInput: It makes no sense on a server.
    """
    if name in LOCAL and not explicit:
        return command
    if name in LOCAL:
        raise BadInput(f"hpsearch {name} {LOCAL[name]}; leave out --server")
    if name in NOT_SENT:
        raise BadInput(f"hpsearch {name} cannot be sent to a server: {NOT_SENT[name]}; leave out --server")
    return _sent(name, command, server)


def _sent(name: str, command: click.Command, server: str) -> click.Command:
    changed = copy.copy(command)
    if isinstance(changed, click.Group):
        changed.commands = {each: _sent(f"{name} {each}", of, server) for each, of in changed.commands.items()}
        return changed

    @click.pass_context
    def callback(ctx: click.Context, /, **_: Any) -> None:
        given = {
            _NAMES.get((name, key), key): value
            for key, value in ctx.params.items()
            if ctx.get_parameter_source(key) is ParameterSource.COMMANDLINE
        }
        _check(given)
        client = Client(server)
        _name_searches(client, name, given)
        ctx.exit(_run_job(client, name, given) if name in JOBS else _run(client, name, given))

    changed.callback = callback
    return changed


def _check(given: dict[str, Any]) -> None:
    """Refuse options that have no meaning for a server."""
    for name, why in REFUSED.items():
        if name in given:
            raise BadInput(f"{{}} with --server: {why}; leave one out", Argument(name))


def _name_searches(client: Client, kind: str, given: dict[str, Any]) -> None:
    """Put the names of searches in the place of study files; one that is started is sent to the server."""
    for key in ("search", "study", "a", "b"):
        if str(given.get(key, "")).endswith(".toml"):
            path = Path(given[key])
            given[key] = find(str(path)).name
            if kind == "start":
                client.send_study(given[key], tomllib.loads(content(path).decode()))


def _run_job(client: Client, kind: str, given: dict[str, Any]) -> int:
    """Hand in a job, print its output as it comes, and return its exit code."""
    if kind == "evaluate":
        by = [name for name in ("confirmed", "best") if given.pop(name, False)]
        if len(by) > 1:
            raise BadInput("--confirmed and --best choose different values; give one of them")
        given |= {"by": by[0]} if by else {}
    job = client.submit(Action(kind, given))
    try:
        for line in client.follow(job):
            print(line.text, file=sys.stderr if line.stream == "stderr" else sys.stdout, flush=True)
    except KeyboardInterrupt:
        stop = Action("stop", {"search": job.search})
        raise Interrupted(f"job {job.id} keeps running on the server; `{{}}` stops it", stop) from None
    ended = client.job(job)
    if ended.exit_code is not None:
        return ended.exit_code
    if ended.state == "failed":
        raise ServerFailure(f"job {job.id}: {ended.reason}")
    raise Interrupted(f"job {job.id}: {ended.reason}")


def _run(client: Client, kind: str, given: dict[str, Any]) -> int:
    """Have a command carried out at once, print its output, write its files here, and return its exit code."""
    shows, force = given.pop("open_browser", False), given.pop("force", False)
    out = given.get("out")
    to_stdout = kind in ("plot", "report") and str(out) == "-"
    if to_stdout and given.get("form") != "md" and sys.stdout.isatty():
        raise BadArgument("out", out, "a page of 5 MB", "give a file or a pipe")
    path = None if out is None or to_stdout else expanded(Path(out))
    if path is not None:
        given["out"] = path.name
    ran = client.run(kind, **given)
    folder = Path() if path is None else path.parent
    files = _write(kind, ran, folder, force=force)
    prefix = "" if folder == Path() else f"{folder}/"
    for text, stream in ((ran.stdout, sys.stdout), (ran.stderr, sys.stderr)):
        stream.write(text.replace(f"{ran.folder}/", prefix))
    if shows and files:
        webbrowser.open(files[0].absolute().as_uri())
    return ran.exit_code


def _write(kind: str, ran: CommandResult, folder: Path, *, force: bool) -> list[Path]:
    """Write the files that a command made, where the same command would have written them here."""
    paths = [folder / Path(name).name for name in ran.files]
    for path in paths:
        if kind == "report":
            check_out(path, force=force)
        elif kind == "export" and path.exists() and not force:
            raise BadInput(
                f"{path} exists; add {{}} to overwrite it, or give another {{}}", Argument("force"), Argument("out")
            )
    for path, made in zip(paths, ran.files.values(), strict=True):
        with replacing(path) as whole:
            whole.write_bytes(made)
    return paths
