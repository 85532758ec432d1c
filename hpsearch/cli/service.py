"""``hpsearch serve`` and ``token``: searches that run while others watch, and who may do so."""

from __future__ import annotations

import signal
import sys
import webbrowser
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpsearch.cli import options
from hpsearch.cli.options import Format, Group
from hpsearch.cli.render import emit, note, say
from hpsearch.errors import BadArgument, MissingExtra
from hpsearch.files import make_folder
from hpsearch.records import DEFAULT_STORAGE
from hpsearch.service import child
from hpsearch.service.credentials import opened
from hpsearch.service.database import url_of
from hpsearch.service.roles import Role
from hpsearch.service.settings import Settings
from hpsearch.service.worker import work
from hpsearch.store.engine import show
from hpsearch.study_file import STUDIES_FOLDER

if TYPE_CHECKING:
    from hpsearch.service.credentials import Credentials
    from hpsearch.store.queries import Columns


@click.command()
@options.storage
@click.option("--host", default="127.0.0.1", help="Address to listen at; any but this machine's needs a token first.")
@click.option("--port", type=options.Range(0, 65535), default=8080, help="Port; 0 for any.")
@click.option(
    "--studies", type=options.FILE, default=STUDIES_FOLDER, help="Folder of the study files that may be started."
)
@click.option("--at-once", type=options.Range(1), default=1, help="Jobs that run at the same time on this machine.")
@options.flag("--writable", "Let the Optuna dashboard change and delete studies.")
@click.option("--url", default="", help="Address that people open where a proxy stands in front: https://HOST/tools.")
@click.option("--certfile", type=options.FILE, help="TLS certificate.")
@click.option("--keyfile", type=options.FILE, help="Its key.")
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser.")
@options.flag("--worker", "Only run jobs, of a service on another machine.")
@click.option("--run-job", hidden=True)  # the process of a job, which a worker starts
@click.pass_obj
def serve(
    command: Callable[[list[str]], int],
    storage: str | None,
    host: str,
    port: int,
    studies: Path,
    at_once: int,
    writable: bool,
    url: str,
    certfile: Path | None,
    keyfile: Path | None,
    open_browser: bool,
    worker: bool,
    run_job: str | None,
) -> int:
    """Serve the searches of a database: a page, an HTTP API, and the jobs that they start.

    Ctrl-C ends it; jobs that are under way record what has finished, and go on when it is started again.
    """
    if studies != STUDIES_FOLDER and not studies.is_dir():
        raise BadArgument("studies", studies, "there is no such folder", "make it, or give another")
    if storage is None:
        make_folder(DEFAULT_STORAGE.parent)
    settings = Settings(
        storage=storage or str(DEFAULT_STORAGE),
        host=host,
        port=port,
        studies=studies,
        at_once=at_once,
        writable=writable,
        url=url,
        certfile=certfile,
        keyfile=keyfile,
    )

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    if run_job is not None:
        return child.run_job(run_job, settings, command=command)
    if worker:
        work(settings, on_ready=lambda: note("jobs are run here; Ctrl-C ends it"))
        return 0
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise MissingExtra("the service is not installed; pip install 'hpsearch[service]'")
    with settings.listen() as listening:
        from hpsearch.service import server  # an optional package, which takes seconds

        def ready(address: str) -> None:
            say(f"hpsearch is at {address}{' (this link opens once)' if settings.local else ''}; Ctrl-C ends it")
            if open_browser:
                webbrowser.open(address)

        if not settings.local and certfile is None and not url.startswith("https:"):
            note("tokens travel unencrypted: give --certfile and --keyfile, or --url https://... of a proxy in front")
        server.serve(settings, listening, on_ready=ready)
    return 0


@click.group(cls=Group)
def token() -> None:
    """Say who may use the service: make, list and revoke tokens."""


@token.command()
@click.argument("name", help="Whose token it is; jobs and the audit log say so.")
@click.option(
    "--role",
    type=click.Choice([role.name.lower() for role in Role]),
    default=Role.READ.name.lower(),
    help="read: see everything; run: also start, narrow and stop; admin: also delete.",
)
@options.storage
def create(name: str, role: str, storage: str | None) -> None:
    """Make a token and print it: this once, for only its hash is kept."""
    if storage is None:
        make_folder(DEFAULT_STORAGE.parent)
    with _credentials(storage, create=True) as credentials:
        secret = credentials.create(name, Role[role.upper()])
    sys.stdout.write(f"{secret}\n")
    where = show(url_of(storage or str(DEFAULT_STORAGE)))
    note(f"it is not shown again ({where} has its hash); log in with it, or give it as $HPSEARCH_TOKEN")


@token.command("list")
@options.storage
@options.output
def list_(storage: str | None, output: Format) -> None:
    """List the tokens, without their secrets."""
    with _credentials(storage) as credentials:
        tokens = credentials.tokens()
    columns: Columns = {
        "name": [token.name for token in tokens],
        "role": [token.role.name.lower() for token in tokens],
        "created": [datetime.fromtimestamp(token.created, UTC).isoformat() for token in tokens],
    }
    emit(columns, output)


@token.command()
@click.argument("name", help="Whose token.")
@options.storage
def revoke(name: str, storage: str | None) -> None:
    """Revoke a token; who logged in with it is logged out."""
    with _credentials(storage) as credentials:
        credentials.revoke(name)
    say(f"revoked the token of {name}")


def _credentials(storage: str | None, *, create: bool = False) -> AbstractContextManager[Credentials]:
    return opened(storage or str(DEFAULT_STORAGE), create=create)
