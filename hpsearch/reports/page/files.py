"""A report as a file: its name, its form, and what it may be written over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput
from hpsearch.files import replacing
from hpsearch.reports.page.html import GENERATOR

if TYPE_CHECKING:
    from pathlib import Path

_ENDINGS = {".html": "html", ".htm": "html", ".md": "md", ".markdown": "md"}
_MARKS = (f'<meta name="generator" content="{GENERATOR} '.encode(), f"<!-- generator: {GENERATOR} ".encode())
"""What a report of ours has near its beginning, as HTML and as Markdown."""
_BEGINNING = 4096


def form_of(out: Path | None, asked: str | None) -> str:
    """What kind of file to write, ``html`` or ``md``: as asked, or as the file's ending says.

    Args:
        out: The file, or None for one that is still to be named.
        asked: The form asked for, or None.

    Raises:
        BadInput: The ending says nothing, or something else than was asked.
    """
    if out is None:
        return asked or "html"
    told = _ENDINGS.get(out.suffix.lower())
    if asked is None and told is None:
        raise BadInput(f"cannot tell the form of {out.name!r}; let it end with .html or .md, or say --format")
    if asked is not None and told not in (None, asked):
        raise BadInput(f"--format {asked} does not go with {out.name!r}; leave one out")
    return asked or str(told)


def name_for(search: str, form: str) -> str:
    """The file's name where none was given; whatever a search is called, it is no path."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', search).lstrip('.') or 'search'}-report.{form}"


def check(path: Path, *, force: bool = False) -> None:
    """Refuse a path to which a report cannot or should not be written.

    Args:
        path: Where it is to stand.
        force: Whether it may take the place of any file.

    Raises:
        BadInput: No such folder, a folder, or a file that is no report.
    """
    if not path.absolute().parent.is_dir():
        raise BadInput(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise BadInput(f"cannot write {path}: it is a folder; give a file")
    if path.exists() and not force and not _is_report(path):
        raise BadInput(f"{path} is there and is no report of hpsearch; give another --out, or say --force")


def write(path: Path, text: str, *, force: bool = False) -> None:
    """Write a report, whole or not at all; an earlier report is replaced.

    Args:
        path: Where it is to stand.
        text: The report.
        force: Whether it may take the place of any file.

    Raises:
        BadInput: It cannot or should not be written there.
        OutputFailure: The disk is full, or broken.
    """
    check(path, force=force)
    with replacing(path) as whole:
        whole.write_text(text, "utf-8", newline="\n")


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}; give another --out, or say --force") from error
    return any(mark in beginning for mark in _MARKS)
