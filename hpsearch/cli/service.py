"""``hpsearch serve``: searches that run while others watch."""

from __future__ import annotations

import signal
import webbrowser
from importlib.util import find_spec
from pathlib import Path

import click

from hpsearch.cli import options
from hpsearch.cli.render import say
from hpsearch.errors import MissingExtra
from hpsearch.files import make_folder
from hpsearch.records import DEFAULT_STORAGE
from hpsearch.service.settings import Settings
from hpsearch.study_file import STUDIES_FOLDER


@click.command()
@options.storage
@click.option("--host", default="127.0.0.1", help="Address to listen at; others than this machine's need users.")
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
def serve(
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
) -> None:
    """Serve the searches of a database: a page, an HTTP API, and the jobs that they start.

    Ctrl-C ends it; jobs that are under way record what has finished, and go on when it is started again.
    """
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise MissingExtra("the service is not installed; pip install 'hpsearch[service]'")
    from hpsearch.service import server  # an optional package

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

    def ready(address: str) -> None:
        say(f"hpsearch is at {address} (the link opens once); Ctrl-C ends it")
        if open_browser:
            webbrowser.open(address)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    server.serve(settings, on_ready=ready)
