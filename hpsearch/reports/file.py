"""The file of a report: its form and name, and that an earlier report alone is overwritten unasked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hpsearch.errors import BadArgument, BadInput
from hpsearch.files import replacing
from hpsearch.records import Argument

if TYPE_CHECKING:
    from pathlib import Path

GENERATOR = "hpsearch"
_ENDINGS = {".html": "html", ".htm": "html", ".md": "md", ".markdown": "md"}
# The marks in the beginnings of our reports, as HTML and as Markdown.
_MARKS = (f'<meta name="generator" content="{GENERATOR} '.encode(), f"<!-- generator: {GENERATOR} ".encode())


def form_of(out: Path | None, form: str | None) -> str:
    """Return the kind of file to write, ``html`` or ``md``: the one given, or that of the file's ending.

    Raises:
        BadInput: The ending is unknown, or that of another form.
    """
    if out is None:
        return form or "html"
    by_ending = _ENDINGS.get(out.suffix.lower())
    if form is None and by_ending is None:
        raise BadInput(
            f"cannot tell the form of {out.name!r}; let it end with .html or .md, or give {{}}", Argument("form")
        )
    if form is not None and by_ending not in (None, form):
        raise BadArgument("form", form, f"does not go with {out.name!r}", "leave one out")
    return form or str(by_ending)


def name_for(search: str, form: str) -> str:
    """Return the default name of the file, which holds no path whatever the search's name."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', search).lstrip('.') or 'search'}-report.{form}"


def check_out(path: Path, *, force: bool = False) -> None:
    """Refuse a path to which a report cannot be written, or without ``force`` a file that is no report."""
    if not path.absolute().parent.is_dir():
        raise BadInput(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise BadInput(f"cannot write {path}: it is a folder; give a file")
    remedy = "give another {}, or {}", Argument("out"), Argument("force")
    if path.exists() and not force:
        try:
            with path.open("rb") as file:
                beginning = file.read(4096)
        except OSError as error:
            raise BadInput(f"cannot read {path}: {error.strerror}; {remedy[0]}", *remedy[1:]) from error
        if not any(mark in beginning for mark in _MARKS):
            raise BadInput(f"{path} exists and is no report of hpsearch; {remedy[0]}", *remedy[1:])


def write(path: Path, text: str, *, force: bool = False) -> None:
    """Write a report, whole or not at all; an earlier report is replaced, with ``force`` any file.

    Raises:
        BadInput: It cannot or should not be written there.
        OutputFailure: The disk is full, or faulty.
    """
    check_out(path, force=force)
    with replacing(path) as whole:
        whole.write_text(text, "utf-8", newline="\n")
