"""The files that pages load: ours, the report's style and script, and Plotly. The address holds their version."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Response
from plotly import __version__ as plotly_version
from plotly.offline import get_plotlyjs

from hpsearch import __version__

ROUTER = APIRouter(prefix="/hp/static", include_in_schema=False)
_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
_YEAR = "public, max-age=31536000, immutable"


def _read() -> dict[str, bytes]:
    """Return all files by name, but for Plotly, which is larger than the rest together."""
    report = files("hpsearch.reports") / "templates"
    ours = {file.name: file.read_bytes() for file in (files("hpsearch.service.pages") / "static").iterdir()}
    return {"figures.js": (report / "page.js").read_bytes(), "report.css": (report / "style.css").read_bytes(), **ours}


_FILES = _read()
_CONTENT = b"".join(name.encode() + content for name, content in sorted(_FILES.items()))
# Whatever changes a file changes every address, so a browser asks for each once.
VERSION = hashlib.sha256(f"{__version__} {plotly_version}".encode() + _CONTENT).hexdigest()[:16]


@cache
def _compressed(name: str) -> bytes:
    content = get_plotlyjs().encode() if name == "plotly.js" else _FILES[name]
    return gzip.compress(content, mtime=0)


@ROUTER.get("/{version}/{name}")
def asset(version: str, name: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
    """Return a file, which a browser keeps for as long as its address stays."""
    if name != "plotly.js" and name not in _FILES:
        raise HTTPException(404, "no such file")
    content = _compressed(name)
    headers = {"Cache-Control": _YEAR if version == VERSION else "no-store", "Vary": "Accept-Encoding"}
    if "gzip" in accept_encoding:
        headers["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return Response(content, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)
