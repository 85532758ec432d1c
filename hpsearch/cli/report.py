"""``hpsearch plot`` and ``report``: a figure, and a page."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

import click

from hpsearch.api import Search
from hpsearch.cli import options
from hpsearch.cli.render import say
from hpsearch.errors import BadInput
from hpsearch.files import expanded
from hpsearch.reports import WORDS
from hpsearch.wording import word

_STDOUT = "-"


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice(WORDS), help="The figure; see above.")
@options.search_or_stage
@options.stage
@click.option(
    "--out",
    help="File, whose ending gives the format: .html, .png, .svg or .pdf; - for HTML to standard output. "
    "[default: SEARCH-KIND.html here]",
)
@click.option(
    "--parameter", "parameters", multiple=True, help="Parameter: of parameters, curves and isolation one, of pair two."
)
@click.option("--top", type=int, help="Best trials that are plotted (curves: 20) or highlighted (others: 5).")
@click.option("--quantity", type=click.Choice(["accuracy", "loss"]), help="Of curves. [default: the score's]")
@options.flag("--dark", "Light on dark.")
@options.storage
def plot(
    kind: str,
    search: str | None,
    stage: int | None,
    out: str | None,
    parameters: tuple[str, ...],
    top: int | None,
    quantity: str | None,
    dark: bool,
    storage: str | None,
) -> None:
    """Plot a figure of a search."""
    if out == _STDOUT and sys.stdout.isatty():
        raise BadInput("--out - writes a page of 5 MB to the terminal; give a file or a pipe")
    path = None if out in (None, _STDOUT) else expanded(Path(str(out)))
    figure = Search(search, storage=storage).plot(
        kind, stage=stage, parameters=parameters, top=top, quantity=quantity, dark=dark, out=path
    )
    if out == _STDOUT:
        sys.stdout.write(figure.html())
    else:
        say(f"wrote {figure.save(path)}: {figure}")


plot.help = f"""{plot.help}

\b
KIND is one of:
{chr(10).join(f"  {kind:<11} {words}" for kind, words in WORDS.items())}

Pruned trials are open triangles or dotted lines, failed ones crosses. A file is replaced.
"""


@click.command()
@options.search_or_stage
@click.option("--stage", type=int, help="Only this stage and those that it was narrowed from. [default: all]")
@click.option("--out", help="File, or - for standard output. [default: SEARCH-report.html here]")
@click.option(
    "--format", "form", type=click.Choice(["html", "md"]), help="html or md (Markdown). [default: by --out, or html]"
)
@options.flag("--force", "Overwrite a file that is no report.")
@click.option("--open", "open_browser", is_flag=True, help="Open it in the browser.")
@options.storage
def report(
    search: str | None,
    stage: int | None,
    out: str | None,
    form: str | None,
    force: bool,
    open_browser: bool,
    storage: str | None,
) -> None:
    """Write one page about a search, with figures and tables.

    The best values, how sure they are, and what to do next.
    """
    if out == _STDOUT and open_browser:
        raise BadInput("--open with --out -: there is no file to open; leave one out")
    if out == _STDOUT and form != "md" and sys.stdout.isatty():
        raise BadInput("--out - writes a page of 5 MB to the terminal; give a file, a pipe, or --format md")
    path = None if out in (None, _STDOUT) else expanded(Path(str(out)))
    made = Search(search, storage=storage).report(stage=stage, form=form, out=path, force=force, word=word)
    if out == _STDOUT:
        sys.stdout.write(made.text)
        return
    path = path or made.save(force=force)
    say(f"wrote {path} ({len(made.text.encode()) / 1e6:.2g} MB): {made.page.answer.score}")
    if open_browser:
        webbrowser.open(path.absolute().as_uri())
