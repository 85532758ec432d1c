"""A report as a page: its contents as plain data, the same as HTML and as Markdown, and as a file."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from plotly.offline import get_plotlyjs

from hpsearch import __version__
from hpsearch.errors import MissingExtra
from hpsearch.records import Argument
from hpsearch.reports.figures.saving import plain_figure, script_json
from hpsearch.reports.figures.style import DARK, empty_figure, tell
from hpsearch.reports.file import GENERATOR
from hpsearch.text import CELL, cell, is_numeric, printable, printable_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Environment

NARROWEST = 600  # screens up to this width, in px, get the layouts for phones
HEIGHT = 420  # of a figure without a height of its own, in px
_LONG = 28  # length of a cell from which it may wrap
_SPECIAL = re.compile(r"([\\`*\[\]<|&]|(?<!\w)_|_(?!\w)|~(?=~))")
_SPACES = re.compile(r"[ \t\r\n\f\v\u2028\u2029]+")  # a no-break space stays
_BEGINS = re.compile(r"^(\d*)([-+>=#](?<!\d.)|(?<=\d)[.)](?=\s))")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a page: cells by heading; ``folded`` is the summary of a collapsed table, else empty."""

    caption: str
    columns: Mapping[str, Sequence[object]]
    folded: str = ""

    @property
    def rows(self) -> list[tuple[object, ...]]:
        """The cells row by row."""
        return list(zip(*self.columns.values(), strict=True))

    @property
    def classes(self) -> list[str]:
        """The CSS class of each column: ``number``, ``short`` text that stays on a line, or ``long`` text."""
        return [
            "number" if is_numeric(cells) else "short" if all(len(cell(v)) < _LONG for v in cells) else "long"
            for cells in self.columns.values()
        ]


@dataclass(frozen=True, slots=True)
class PageFigure:
    """A figure with its words."""

    key: str  # a name for links, of letters and hyphens
    title: str  # in a few words
    caption: str  # the content, in a sentence
    alt: str  # the alternative text
    figure: Mapping[str, Any]  # Plotly's ``data`` and ``layout``, as plain data
    narrow: Mapping[str, Any]  # the layout for a phone
    width: int = 0  # least width in px; on a narrower screen it is scrolled
    half: bool = False  # whether two may stand side by side on a wide screen
    table: Table | None = None  # the plotted data, where they are few


@dataclass(frozen=True, slots=True)
class PageQuestion:
    """A question of the checklist."""

    mark: str  # in one character
    meaning: str  # that of the mark
    question: str
    answers: tuple[str, ...]
    figure: str = ""  # the key of a figure on the page that shows it
    command: str = ""  # what acts on it


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page under a heading; ``key`` is its name for links, ``short`` the heading in the list of parts."""

    key: str
    heading: str
    short: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    questions: tuple[PageQuestion, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[PageFigure, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The part above everything else."""

    score: str  # the best score with its name, such as ``Validation loss 0.9``; or why there is none
    sure: tuple[str, ...] = ()  # its uncertainty, a sentence each
    values: Mapping[str, str] = field(default_factory=dict)  # the values to pick, as a study file would have them
    values_of: str = ""  # whose values these are
    next: str = ""  # the next step


@dataclass(frozen=True, slots=True)
class Page:
    """A whole report; ``about`` says in a line what was searched."""

    title: str
    about: str
    answer: Answer
    sections: tuple[Section, ...]


def to_html(page: Page) -> str:
    """Return the page as HTML with everything in it: its style, Plotly's script, the data of its figures.

    Nothing is loaded from elsewhere, and its policy forbids the browser to: only the page's own two scripts run, known
    by their hashes, whatever stands in the database. The same page gives the same text.

    Raises:
        MissingExtra: Jinja2 is not installed.
    """
    templates = environment()
    folder = files("hpsearch.reports") / "templates"
    plotly, script = get_plotlyjs(), (folder / "page.js").read_text("utf-8")
    return str(
        templates.get_template("page.html.jinja").render(
            page=page,
            policy=_policy(plotly, script),
            generator=f"{GENERATOR} {__version__}",
            style=(folder / "style.css").read_text("utf-8"),
            settings=figure_settings(),
            plotly=plotly,
            script=script,
        )
    )


def environment(*packages: str) -> Environment:
    """Return the environment of the report's templates and macros, and of the ``templates`` of further packages.

    Raises:
        MissingExtra: Jinja2 is not installed.
    """
    check_html()
    import jinja2  # an optional package

    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in (*packages, "hpsearch.reports")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # What is marked as safe is of another type than text.
        finalize=lambda value: _line(value) if type(value) is str else value,
    )
    made.filters["cell"] = _cell
    made.filters["data"] = _figure_data
    return made


def figure_settings() -> str:
    """Return what all figures of a page share, as JSON for its script."""
    template = plain_figure(tell(empty_figure(), ""))["layout"]["template"]
    return script_json({"colours": dict(DARK), "narrowest": NARROWEST, "height": HEIGHT, "template": template})


def _line(text: str) -> str:
    """Return text from anywhere as one line without control characters, and not too long to be read."""
    return printable_line(_SPACES.sub(" ", text).strip())


def _cell(value: object) -> str:
    return printable(cell(value), CELL)


def check_html() -> None:
    """Check that a page of HTML can be made here."""
    if find_spec("jinja2") is None:
        raise MissingExtra(
            "a report as HTML needs Jinja2; pip install 'hpsearch[report]', or choose {}", Argument("form", "md")
        )


def _figure_data(figure: PageFigure) -> str:
    # All layouts have the same template, which the page carries once.
    layouts = {"layout": figure.figure["layout"], "narrow": figure.narrow}
    bare = {name: {**layout, "template": None} for name, layout in layouts.items()}
    return script_json({"data": figure.figure["data"], **bare, "width": figure.width})


def _policy(*scripts: str) -> str:
    """Return the page's content security policy: run these scripts, and show images that they make."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        # Plotly writes its own style into the page.
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def to_markdown(page: Page) -> str:
    """Return the page as Markdown, without the figures, with tables as GitHub and others show them.

    The same page gives the same text; whatever stands in the database stays text.
    """
    lines = [
        *(f"<!-- generator: {GENERATOR} {__version__} -->", ""),
        *(f"# {_text(page.title)}", ""),
        *(_text(page.about), ""),
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
    if answer.next:
        yield from (f"**{_text(answer.next)}**", "")


def _section(section: Section) -> Iterator[str]:
    tables = [*section.tables, *(figure.table for figure in section.figures if figure.table)]
    if not (section.sentences or section.points or section.questions or tables):
        return  # figures alone
    yield from (f"## {_text(section.heading)}", "")
    for sentence in section.sentences:
        yield from (_text(sentence), "")
    if section.points:
        yield from (f"- {_text(sentence)}" for sentence in section.points)
        yield ""
    for question in section.questions:
        yield from (f"**{_text(f'{question.question} {question.meaning.capitalize()}.')}**", "")
        yield from (f"- {_text(sentence)}" for sentence in question.answers)
        yield from ([f"- {_text(question.command)}"] if question.command else [])
        yield ""
    for table in tables:
        yield from (_text(table.caption), "")
        yield f"| {' | '.join(map(_inside, table.columns))} |"
        yield f"| {' | '.join('---:' if is_numeric(cells) else '---' for cells in table.columns.values())} |"
        for row in table.rows:
            yield f"| {' | '.join(_inside(_cell(value)) for value in row)} |"
        yield ""


def _text(text: str) -> str:
    """Return text that no reader of Markdown takes for markup."""
    return _BEGINS.sub(r"\1\\\2", _inside(text))


def _inside(text: str) -> str:
    """Return the same where it does not begin a line."""
    return _SPECIAL.sub(r"\\\1", _line(text))
