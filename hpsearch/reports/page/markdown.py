"""A page as Markdown: the same answer and tables, without the figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hpsearch import __version__
from hpsearch.reports.page.cells import all_numbers, cell
from hpsearch.reports.page.html import GENERATOR
from hpsearch.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hpsearch.reports.page.contents import Answer, Page, Section, Table

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
