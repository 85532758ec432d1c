"""A report as a page: its contents as plain data, and the same as HTML and as Markdown."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from hpsearch import __version__
from hpsearch.errors import BadInput, MissingExtra
from hpsearch.files import replacing
from hpsearch.reports.figures.web import dark_colours, script_json
from hpsearch.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Table:
    """A table that a reader takes in at a glance.

    Args:
        caption: What its rows are, in a sentence.
        columns: Cells by heading, all of one length; numbers stay numbers, so that they stand at the right.
        folded: The summary under which it is folded away, or nothing.
    """

    caption: str
    columns: Mapping[str, Sequence[object]]
    folded: str = ""

    @property
    def rows(self) -> list[tuple[object, ...]]:
        """The cells row by row."""
        return list(zip(*self.columns.values(), strict=True))


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure with its words.

    Args:
        key: A name for links, of letters and hyphens.
        title: What it shows, in a few words.
        caption: What there is to see, in a sentence.
        alt: The same for who cannot see it: what is drawn, and what it comes to.
        figure: Plotly's ``data`` and ``layout``, as plain data.
        narrow: The layout for a screen as narrow as a phone's.
        width: How many px it needs at least; on a narrower screen it is scrolled.
        half: Whether two may stand side by side on a wide screen.
        table: The drawn data, where it is small.
    """

    key: str
    title: str
    caption: str
    alt: str
    figure: Mapping[str, Any]
    narrow: Mapping[str, Any]
    width: int = 0
    half: bool = False
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page under a heading.

    Args:
        key: A name for links, of letters and hyphens.
        heading: In a few words.
        short: The same in a word, for the list of parts.
        sentences: Paragraphs, the most important first.
        points: Sentences of a list.
        tables: Tables, in order.
        drawings: Figures, in order.
    """

    key: str
    heading: str
    short: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands above everything else.

    Args:
        score: The best score with its name, such as ``validation accuracy 0.9``; or why there is none.
        sure: How sure that is, a sentence each.
        values: The best trial's values by parameter, as a study file would have them.
        values_of: Whose values these are.
        next: What to do next.
        notes: What to make of it, the most important first.
    """

    score: str
    sure: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    values_of: str = ""
    next: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report.

    Args:
        title: The search's name.
        about: What was searched, in a line.
        answer: What came of it.
        sections: The rest, in order.
    """

    title: str
    about: str
    answer: Answer
    sections: tuple[Section, ...]


_LONG = 28
"""From so many characters on a text may be broken into lines."""


def is_number(value: object) -> bool:
    """Whether a cell is a number, which stands at the right."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def cell(value: object) -> str:
    """A cell for people: four digits of a number, a dash for what is missing."""
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def kinds(columns: Mapping[str, Sequence[object]]) -> list[str]:
    """How each column is set: ``number``, ``short`` text that stays on a line, or ``long`` text."""
    return [_kind(cells) for cells in columns.values()]


def all_numbers(cells: Sequence[object]) -> bool:
    """Whether a column is of numbers, as far as it has anything."""
    there = [value for value in cells if value is not None]
    return bool(there) and all(map(is_number, there))


def _kind(cells: Sequence[object]) -> str:
    if all_numbers(cells):
        return "number"
    return "short" if max((len(cell(value)) for value in cells), default=0) < _LONG else "long"


NARROWEST = 600
"""Screens up to this width, in px, get the layouts for phones."""
HEIGHT = 420
"""Of a figure that does not say its own, in px."""
GENERATOR = "hpsearch"
"""How a page says who made it."""


def to_html(page: Page) -> str:
    """The page as HTML with everything in it: its style, Plotly's script, the data of its figures.

    No part of it is taken from elsewhere, and its policy forbids the browser to: only the page's own two scripts run,
    known by their hashes, whatever stands in the database.

    Args:
        page: What stands on it. The same page gives the same text.

    Raises:
        MissingExtra: Jinja2 is not installed.
    """
    needed()
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    folder = files("hpsearch.reports") / "templates"
    plotly, script = get_plotlyjs(), (folder / "page.js").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = cell
    environment.filters["kinds"] = kinds
    environment.filters["drawn"] = lambda drawing: Markup(_drawn(drawing))
    template = environment.from_string((folder / "page.html.jinja").read_text("utf-8"))
    templates = [drawing.figure["layout"].get("template") for section in page.sections for drawing in section.drawings]
    settings = {
        "colours": dark_colours(),
        "narrowest": NARROWEST,
        "height": HEIGHT,
        "template": templates[0] if templates else None,
    }
    return template.render(
        page=page,
        policy=_policy(plotly, script),
        generator=f"{GENERATOR} {__version__}",
        style=Markup((folder / "style.css").read_text("utf-8")),
        settings=Markup(script_json(settings)),
        plotly=Markup(plotly),
        script=Markup(script),
    )


def needed() -> None:
    """Make sure that a page can be made here.

    Raises:
        MissingExtra: Jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "a report as a page needs Jinja2; pip install 'hpsearch[report]', or take --format md"
        ) from error


def _drawn(drawing: Drawing) -> str:
    layouts = {"layout": drawing.figure["layout"], "narrow": drawing.narrow}
    # They have the same template, the house's, which the page carries once.
    bare = {name: {**layout, "template": None} for name, layout in layouts.items()}
    return script_json({"data": drawing.figure["data"], **bare, "width": drawing.width})


def _policy(*scripts: str) -> str:
    """What the browser may do on the page: run these scripts, and show images that they make."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    return (
        # Plotly writes its own style into the page.
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


_SPECIAL = re.compile(r"([\\`*\[\]<|&]|(?<!\w)_|_(?!\w)|~(?=~))")
_SPACES = re.compile(r"[ \t\r\n\f\v\u2028\u2029]+")  # a no-break space stays
_BEGINS = re.compile(r"^(\d*)([-+>=#](?<!\d.)|(?<=\d)[.)](?=\s))")


def to_markdown(page: Page) -> str:
    """The page as text in Markdown, with tables as GitHub and others show them.

    Args:
        page: What stands on it. The same page gives the same text; whatever stands in the database stays text.
    """
    lines = [
        f"<!-- generator: {GENERATOR} {__version__} -->",
        "",
        f"# {_text(page.title)}",
        "",
        _text(page.about),
        "",
        *_answer(page.answer),
    ]
    for section in page.sections:
        lines += _section(section)
    return "\n".join(lines).rstrip() + "\n"


def _answer(answer: Answer) -> Iterator[str]:
    yield from (f"**{_text(answer.score)}**", "")
    for sentence in answer.sure:
        yield from (_text(sentence), "")
    if answer.values:
        yield from (f"{_text(answer.values_of)}:", "")
        yield from (f"- {_text(name)} = {_text(value)}" for name, value in answer.values.items())
        yield ""
    for sentence in answer.next:
        yield from (f"**{_text(sentence)}**", "")
    if answer.notes:
        yield from ("What to make of it:", "")
        yield from (f"- {_text(sentence)}" for sentence in answer.notes)
        yield ""


def _section(section: Section) -> Iterator[str]:
    tables = [*section.tables, *(drawing.table for drawing in section.drawings if drawing.table)]
    if not (section.sentences or section.points or tables):
        return  # figures alone
    yield from (f"## {_text(section.heading)}", "")
    for sentence in section.sentences:
        yield from (_text(sentence), "")
    if section.points:
        yield from (f"- {_text(sentence)}" for sentence in section.points)
        yield ""
    for table in tables:
        yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield from (_text(table.caption), "")
    yield f"| {' | '.join(map(_inside, table.columns))} |"
    rules = ("---:" if all_numbers(cells) else "---" for cells in table.columns.values())
    yield f"| {' | '.join(rules)} |"
    for row in table.rows:
        yield f"| {' | '.join(_inside(cell(value)) for value in row)} |"
    yield ""


def _text(text: str) -> str:
    """Text that no reader of Markdown takes for markup."""
    return _BEGINS.sub(r"\1\\\2", _inside(text))


def _inside(text: str) -> str:
    """The same where it does not begin a line."""
    return _SPECIAL.sub(r"\\\1", printable(_SPACES.sub(" ", text).strip()))


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
