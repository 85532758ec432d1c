"""What stands on a report's page, as plain data: sentences, tables, figures. How it looks is decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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
