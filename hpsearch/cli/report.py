"""``hpsearch report``: a search as one page, to read, to print or to send."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.options import SearchOrStage, Storage, storage_url
from hpsearch.cli.render import word

if TYPE_CHECKING:
    from hpsearch.reports.page import Page
    from hpsearch.reports.report import Material


_STDOUT = "-"


class Form(StrEnum):
    """What kind of file a report is."""

    html = "html"
    md = "md"


def report(
    search: SearchOrStage = None,
    stage: Annotated[
        int | None,
        typer.Option(help="Only this stage and those that it was narrowed from. [default: all]", show_default=False),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="File, or - for standard output. [default: SEARCH-report.html here]", show_default=False),
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
    from hpsearch.cli.output import say
    from hpsearch.reports.page import form_of, name_for, write
    from hpsearch.reports.report import gather
    from hpsearch.search.stage import resolve_stage
    from hpsearch.store import open_store

    search, stage = resolve_stage(search, stage)
    path = None if out in (None, _STDOUT) else Path(str(out)).expanduser()
    chosen = form_of(path, None if form is None else form.value)
    _check(out, path, chosen, force=force, open_browser=open_browser)
    store = open_store(storage_url(storage), write=False)
    try:
        material = gather(store, search, stage=stage)
    finally:
        store.close()
    page, text = _made(material, chosen)
    if out == _STDOUT:
        typer.echo(text, nl=False)
        return
    path = path or Path(name_for(material.search, chosen))
    write(path, text, force=force)
    say(f"wrote {path} ({len(text.encode()) / 1e6:.2g} MB): {page.answer.score}")
    if open_browser:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())


def _check(out: str | None, path: Path | None, form: str, *, force: bool, open_browser: bool) -> None:
    """Refuse what cannot be done before the database is read."""
    import sys

    from hpsearch.errors import BadInput
    from hpsearch.reports.page import check_html, check_out

    if out == _STDOUT and open_browser:
        raise BadInput("--open with --out -: there is no file to open; leave one out")
    if out == _STDOUT and form == "html" and sys.stdout.isatty():
        raise BadInput("--out - writes a page of 5 MB to the terminal; give a file, a pipe, or --format md")
    if path is not None:
        check_out(path, force=force)
    if form == "html":
        check_html()


def _made(material: Material, form: str) -> tuple[Page, str]:
    from hpsearch.reports.page import to_html, to_markdown
    from hpsearch.reports.report import report as contents

    if form == "md":
        made = contents(material, figures=False, word=word)
        return made, to_markdown(made)
    made = contents(material, word=word)
    return made, to_html(made)
