"""A downloader for pooch that continues a broken-off transfer, which pooch's own ones begin anew."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, final

TIMEOUT = 30.0
"""Seconds without a byte after which the server counts as gone."""
_CHUNK = 1 << 16


class TransferError(Exception):
    """A file that did not arrive.

    Args:
        reason: Why, in words for people.
        kept: How many bytes of it are kept for the next try.
    """

    def __init__(self, reason: str, kept: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kept = kept


class WrongFileError(Exception):
    """A file that arrived and has another hash than expected.

    Args:
        got: Its sha256.
    """

    def __init__(self, got: str) -> None:
        super().__init__(got)
        self.got = got


@final
class Resuming:
    """Downloads one file by way of ``<file>.part``, which stays when the transfer breaks off.

    Args:
        folder: Where the file will lie.
        file: Its name.
        sha256: What it must hash to.
        progress: Told the name, the bytes here, and the size where the server says it.
    """

    def __init__(
        self, folder: Path, file: str, sha256: str, progress: Callable[[str, int, int | None], None] | None
    ) -> None:
        self.file = file
        self.sha256 = sha256
        self.progress = progress
        self.part = folder / f"{file}.part"

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Download to ``output_file``, as pooch calls it.

        Raises:
            TransferError: The file did not arrive whole.
            WrongFileError: It did, and is another one; it is deleted.
        """
        with self.part.open("ab") as out:
            try:
                # Two writers would mix their bytes in the one file.
                fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TransferError("another process is downloading it") from error
            try:
                self._transfer(url, out)
            except TransferError as error:
                error.kept = out.tell()
                if not error.kept:
                    self.part.unlink()
                raise
            out.flush()
            with self.part.open("rb") as whole:
                got = hashlib.file_digest(whole, "sha256").hexdigest()
            if got != self.sha256:
                self.part.unlink()
                raise WrongFileError(got)
            os.replace(self.part, output_file)

    def _transfer(self, url: str, out: BinaryIO) -> None:
        """Bring ``out`` from what it holds to the whole file."""
        start = out.tell()
        response = _open(url, start)
        if response.status == 416:
            response.close()
            # Asked for what comes after the end. Of the right length, it is whole and the hash will tell.
            if response.headers.get("Content-Range") == f"bytes */{start}":
                return
            start = 0
            response = _open(url, start)
        with response:
            if response.status not in (200, 206):
                raise TransferError(f"the server answered {response.status} {response.reason}")
            continues = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            if response.status == 206 and not continues:
                raise TransferError("the server sent another part of the file than asked for")
            if response.status == 200:
                out.truncate(0)  # it sends the whole file
                out.seek(0)
            self._copy(response, out)

    def _copy(self, response: http.client.HTTPResponse, out: BinaryIO) -> None:
        length = response.headers.get("Content-Length", "")
        size = out.tell() + int(length) if length.isdecimal() else None
        while chunk := _read(response):
            out.write(chunk)
            if self.progress is not None:
                self.progress(self.file, out.tell(), size)
        # A connection that is cut looks to http.client like the end of the file.
        if size is not None and out.tell() < size:
            raise TransferError(f"the transfer broke off at {out.tell()} of {size} bytes")


@final
class _AnyStatus(urllib.request.HTTPErrorProcessor):
    """Follows redirections and hands on every other answer, where urllib would raise most of them."""

    def http_response(self, request: urllib.request.Request, response: Any) -> Any:
        if response.status in (301, 302, 303, 307, 308):
            return super().http_response(request, response)
        return response

    https_response = http_response


def _open(url: str, start: int) -> http.client.HTTPResponse:
    """The server's answer, whatever its status."""
    # Without identity a server may compress on the fly, and the ranges would be of something else.
    request = urllib.request.Request(url, headers={"User-Agent": "hpsearch", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    opener = urllib.request.build_opener(_AnyStatus)
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT)
    except urllib.error.URLError as error:
        if isinstance(error, urllib.error.HTTPError):  # a redirection that leads nowhere
            error.close()
        raise TransferError(" ".join(str(error.reason).split())) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransferError(" ".join(str(error).split()) or type(error).__name__) from error
    return answer


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise TransferError(f"the transfer broke off ({type(error).__name__})") from error
