"""Show the manual, whose pages are the Markdown files in ``hpsearch/docs``."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markdown import Markdown
from rich.theme import Theme

from hpsearch.cli.render import emit
from hpsearch.errors import BadInput, nearest

PAGES = Path(__file__).parents[1] / "docs"
_LISTED = re.compile(r"^- \[[^]]+\]\((?P<topic>[\w-]+)\.md\): (?P<summary>.+)$", re.M)
_LINK = re.compile(r"\[(?P<text>[^]]+)\]\((?P<topic>[\w-]+)\.md(?:#[\w-]+)?\)")
_COMMENT = re.compile(r"^<!--.*?-->\n", re.M | re.S)
_WIDEST = 110  # columns of text: longer lines are hard to read
_THEME = Theme({"markdown.code": "bold cyan"})  # Rich's has a black background, whatever the terminal's


@click.command()
@click.argument("topic", required=False, help="A topic, or a command, such as narrow. [default: list the topics]")
def docs(topic: str | None) -> None:
    """Read the manual."""
    if topic is None:
        emit({"topic": list(topics()), "about": list(topics().values())}, "table")
        sys.stdout.write("\nhpsearch docs TOPIC shows one; a command's name is a topic, too\n")
        return
    text = page(topic)
    if not sys.stdout.isatty():
        sys.stdout.write(text)
        return
    # What Git sets too: colours, and no pager for what fits on the screen.
    os.environ.setdefault("LESS", "FRX")
    screen = Console(width=min(Console().width, _WIDEST), theme=_THEME)
    with screen.pager(styles=screen.color_system is not None):
        screen.print(rendered(text))


def topics() -> dict[str, str]:
    """Return the topics in the order of the index, each with a line about it."""
    index = (PAGES / "index.md").read_text(encoding="utf-8")
    return {"index": "this list, by the kind of question", **dict(_LISTED.findall(index))}


def page(topic: str) -> str:
    """Return the Markdown of a topic, or of the sections about a command.

    Raises:
        BadInput: There is no such topic.
    """
    pages = {name: (PAGES / f"{name}.md").read_text(encoding="utf-8") for name in topics()}
    if topic in pages:
        return pages[topic]
    commands: dict[str, str] = {}
    for section in (part for text in pages.values() for part in re.split(r"^(?=## )", text, flags=re.M)):
        if title := re.match(r"## hpsearch ([a-z]+)", section):
            commands[title[1]] = commands.get(title[1], "") + section
    if topic in commands:
        return commands[topic]
    raise BadInput(f"no topic {topic!r}{nearest(topic, [*pages, *commands])}")


def rendered(text: str) -> Markdown:
    """Return a page for a terminal: a link to a page becomes the command that shows it, comments go."""
    text = _LINK.sub(r"\g<text> (`hpsearch docs \g<topic>`)", _COMMENT.sub("", text))
    return Markdown(text, code_theme="ansi_dark", hyperlinks=False)
