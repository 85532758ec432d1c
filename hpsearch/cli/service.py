"""``hpsearch dashboard``: the Optuna dashboard over the study database."""

from __future__ import annotations

import signal
import webbrowser

import click

from hpsearch.cli import options
from hpsearch.cli.options import Command, Number
from hpsearch.cli.render import say
from hpsearch.records import DEFAULT_STORAGE
from hpsearch.service.dashboard import serve
from hpsearch.store import open_store


@click.command(cls=Command)
@options.storage
@click.option("--port", type=Number(int, 0, 65535), default=8080, help="Port on 127.0.0.1; 0 for any.")
@options.flag("--writable", "Let it change and delete studies.")
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser.")
def dashboard(storage: str | None, port: int, writable: bool, open_browser: bool) -> None:
    """Serve the Optuna dashboard on this machine.

    Read-only unless --writable; Ctrl-C ends it.
    """
    store = open_store(str(storage or DEFAULT_STORAGE))
    store.close()

    def ready(address: str) -> None:
        say(f"the dashboard is at {address} ({'writable' if writable else 'read-only'}); Ctrl-C ends it")
        if open_browser:
            webbrowser.open(address)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    serve(store.url, port=port, writable=writable, on_ready=ready)
