"""``hpsearch dashboard``: the Optuna dashboard over the study database."""

from __future__ import annotations

from typing import Annotated

import typer

from hpsearch.cli.options import Storage, storage_url


def dashboard(
    storage: Storage = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for any.")] = 8080,
    writable: Annotated[bool, typer.Option("--writable", help="Let it change and delete studies.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Serve the Optuna dashboard on this machine, read-only unless --writable; Ctrl-C ends it."""
    import signal
    import webbrowser

    from hpsearch.cli.output import say
    from hpsearch.service.dashboard import serve
    from hpsearch.store import open_store

    store = open_store(storage_url(storage))
    store.close()

    def ready(address: str) -> None:
        say(f"the dashboard is at {address} ({'writable' if writable else 'read-only'}); Ctrl-C ends it")
        if open_browser:
            webbrowser.open(address)

    # Whoever stops a server politely means the same as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    serve(store.url, port=port, writable=writable, on_ready=ready)
