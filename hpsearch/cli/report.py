"""``hpsearch report``: a search as one page, to read, to print or to send."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.options import Search, Storage, storage_url

if TYPE_CHECKING:
    from hpsearch.reports.page import Material


class Form(StrEnum):
    """What kind of file a report is."""

    html = "html"
    md = "md"


def report(
    search: Search = None,
    stage: Annotated[
        int | None,
        typer.Option(help="Only this stage and those that it was narrowed from. [default: all]", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write, or - for standard output. [default: SEARCH-report.html]", show_default=False),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option("--format", help="html or md (Markdown). [default: by --out, or html]", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is no report.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    storage: Storage = None,
) -> None:
    """Write one page about a search: the best values, how sure they are, what next, with figures and tables."""
    import sys

    from hpsearch.cli.output import note
    from hpsearch.errors import BadInput
    from hpsearch.reports.page.files import check, form_of, name_for, write
    from hpsearch.service.report import gather
    from hpsearch.store import open_store

    to_stdout = out == Path("-")
    if to_stdout and open_browser:
        raise BadInput("--open with --out -: there is no file to open; leave one out")
    chosen = form_of(None if to_stdout else out, None if form is None else form.value)
    if out is not None and not to_stdout:
        check(out, force=force)  # before anything is read
    store = open_store(storage_url(storage))
    try:
        material = gather(store, search, stage=stage)
    finally:
        store.close()
    text = _text(material, chosen)
    if to_stdout:
        sys.stdout.write(text)
        return
    path = out if out is not None else Path(name_for(material.search, chosen))
    write(path, text, force=force)
    note(f"the report is in {path} ({len(text.encode()) / 1e6:.1f} MB)")
    if open_browser:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())


def _text(material: Material, form: str) -> str:
    from hpsearch.reports import page

    if form == "md":
        return page.to_markdown(page.report(material, figures=False))
    return page.to_html(page.report(material))
