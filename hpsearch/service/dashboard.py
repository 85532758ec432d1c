"""The Optuna dashboard over the study database: on this machine only, and read-only unless asked otherwise."""

from __future__ import annotations

import json
import socketserver
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import get_storage

from hpsearch.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HOST = "127.0.0.1"
READING = ("GET", "HEAD", "OPTIONS")


def read_only(application: WSGIApplication) -> WSGIApplication:
    """Let only reading requests through to an application.

    The dashboard has no such mode: whoever reaches its port may delete studies and finish trials.
    """

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in READING:
            return application(environ, start_response)
        body = json.dumps({"reason": "this dashboard is read-only"}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("405 Method Not Allowed", [*headers, ("Allow", ", ".join(READING))])
        return [body]

    return guarded


def same_site(application: WSGIApplication) -> WSGIApplication:
    """Refuse requests that name another host than this server, or come from another site's page.

    Any page open in the user's browser could otherwise reach the port: under a name of its own (DNS rebinding), or
    by a form that posts here.
    """

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        address = environ.get("HTTP_HOST", _HOST)
        same_host = address.rsplit(":", 1)[0] in (_HOST, "localhost")
        same_origin = environ.get("HTTP_ORIGIN", f"http://{address}") == f"http://{address}"
        if same_host and same_origin:
            return application(environ, start_response)
        body = b"unknown host or origin"
        start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    return guarded


def unframed(application: WSGIApplication) -> WSGIApplication:
    """Forbid pages of other sites to show an application in a frame, where a click could be led astray."""

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Callable[[bytes], object]:
            forbidding = [("Content-Security-Policy", "frame-ancestors 'none'"), ("X-Frame-Options", "DENY")]
            return start_response(status, [*headers, *forbidding], *error)

        return application(environ, start)

    return guarded


def load(url: str) -> WSGIApplication:
    """Return the dashboard as it comes, without a guard."""
    from optuna_dashboard import wsgi  # an optional package, which takes 1.5 s to load

    # A storage object, not a URL: Optuna caches finished trials in it, so a poll does not read them all again.
    dashboard: WSGIApplication = wsgi(get_storage(url))

    def understood(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Its static files answer 500 to a client that does not say which encodings it takes.
        environ.setdefault("HTTP_ACCEPT_ENCODING", "identity")
        return dashboard(environ, start_response)

    return understood


def application(url: str, *, writable: bool = False) -> WSGIApplication:
    """Return the dashboard with its guards as a WSGI application, which must sit at the root of its server."""
    dashboard = load(url)
    return unframed(same_site(dashboard if writable else read_only(dashboard)))


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of a request that failed, but of no client that left."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The dashboard polls every few seconds; its requests are nobody's news."""


def serve(url: str, *, port: int, writable: bool = False, on_ready: Callable[[str], None]) -> None:
    """Serve the dashboard on 127.0.0.1 until Ctrl-C.

    Args:
        url: SQLAlchemy URL of the study database, which exists.
        port: TCP port; 0 for any that is free.
        writable: Let the dashboard change studies.
        on_ready: Called with the address once the server listens.

    Raises:
        BadArgument: The port is taken or not one.
    """
    guarded = application(url, writable=writable)
    try:
        server = make_server(_HOST, port, guarded, server_class=_Server, handler_class=_Quiet)
    except (OSError, OverflowError) as error:
        raise BadArgument("port", port, f"cannot be used ({error})", "use another one, or 0 for any") from error
    with server, suppress(KeyboardInterrupt):
        on_ready(f"http://{_HOST}:{server.server_port}/")
        server.serve_forever()
