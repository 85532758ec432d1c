"""Settings of a server."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hpsearch.errors import BadArgument
from hpsearch.records import DEFAULT_STORAGE
from hpsearch.study_file import STUDIES_FOLDER

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # names by which only this machine can reach a server


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a server; the fields are the options of ``hpsearch serve``."""

    storage: str = str(DEFAULT_STORAGE)  # the study database: a SQLite file or an SQLAlchemy URL
    host: str = "127.0.0.1"
    port: int = 8080  # 0: any that is free
    studies: Path = STUDIES_FOLDER  # folder of the study files that may be started
    at_once: int = 1  # jobs that run at the same time on this machine
    writable: bool = False  # whether the Optuna dashboard may change studies
    url: str = ""  # the address that people open where a proxy stands in front: ``https://hp.example.org/tools``
    certfile: Path | None = None  # TLS certificate and its key
    keyfile: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be served."""
        parts = urlsplit(self.url)
        if self.url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
            raise BadArgument(
                "url", self.url, "not an address that people open", "give https://HOST or https://HOST/PATH"
            )
        if self.keyfile is not None and self.certfile is None:
            raise BadArgument("keyfile", self.keyfile, "a key without its certificate", "give the certificate too")

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach it."""
        return self.host in LOOPBACK

    @property
    def local(self) -> bool:
        """True if people of this machine alone can reach it: no proxy hands on the requests of others."""
        return self.loopback and not self.url

    @property
    def prefix(self) -> str:
        """The path under which a proxy serves this server: ``/tools``; nothing at the root."""
        return urlsplit(self.url).path.rstrip("/")

    def address(self, port: int) -> str:
        """Return the address that people open, of the server that listens at a port."""
        scheme = "http" if self.certfile is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.url.rstrip("/") or f"{scheme}://{host}:{port}"

    def listen(self) -> socket.socket:
        """Return a socket that listens, before anything is loaded that takes seconds.

        Raises:
            BadArgument: The port is taken or not one, or the host is no address of this machine.
        """
        try:
            return socket.create_server(
                (self.host, self.port), family=socket.AF_INET6 if ":" in self.host else socket.AF_INET
            )
        except (OSError, OverflowError) as error:
            why = str(getattr(error, "strerror", error)).partition(" (while")[0]  # without the address
            if isinstance(error, OverflowError) or error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise BadArgument("port", self.port, f"cannot be used: {why}", "use another, or 0 for any") from error
            raise BadArgument("host", self.host, f"cannot be used: {why}", "give an address of this machine") from error
