"""The server: a socket, and the application behind it until Ctrl-C or SIGTERM."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from hpsearch.errors import BadArgument, BadInput
from hpsearch.files import first_line
from hpsearch.records import Action, Argument
from hpsearch.service.app import create_app
from hpsearch.service.connections import Connection
from hpsearch.service.credentials import opened
from hpsearch.service.events import Feed
from hpsearch.service.settings import Settings
from hpsearch.service.worker import working
from hpsearch.store import open_store

_PEM = "give PEM files: the certificate with those that sign it, and the key"
_GRACE_S = 5  # for requests that are under way when the server ends


def serve(settings: Settings, listening: socket.socket, *, on_ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM, and run jobs.

    Args:
        settings: The server's; its study database is made where it is missing.
        listening: That of `Settings.listen`; the caller closes it.
        on_ready: Called with the page's address once the server listens; one that opens it once where it is local.

    Raises:
        BadArgument: The certificate and its key cannot be used.
        BadInput: Others than this machine can reach it, and nobody has a token.
    """
    open_store(settings.storage, create=True, write=True).close()
    _check(settings)
    app = create_app(settings)
    code: str | None = app.state.hub.code
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        root_path=settings.prefix,
        proxy_headers=bool(settings.url),  # a proxy on this machine says who asks, and how
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=settings.certfile,
        ssl_keyfile=settings.keyfile,
    )
    entrance = "" if code is None else f"enter?code={code}"
    on_ready(f"{settings.address(listening.getsockname()[1])}/hp/{entrance}")
    with working(settings), suppress(KeyboardInterrupt):
        _Server(config, app.state.hub.feed).run(sockets=[listening])


def _check(settings: Settings) -> None:
    """Refuse a certificate that cannot be used, and to be reached by others before anybody has a token."""
    if settings.certfile is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.certfile, settings.keyfile)
        except OSError as error:  # also OpenSSL's
            raise BadArgument("certfile", settings.certfile, first_line(error), _PEM) from error
    if not settings.local:
        with opened(settings.storage) as credentials:
            if not credentials.tokens():
                make = Action("token create", {"name": "NAME", "role": "admin", "storage": settings.storage})
                how = Argument("url", settings.url) if settings.url else Argument("host", settings.host)
                raise BadInput("{}: nobody has a token yet; `{}` makes the first", how, make)


class _Server(uvicorn.Server):
    """A server that ends the event streams before it waits for the requests under way."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then all else."""
        await self._feed.close()
        await super().shutdown(sockets)
