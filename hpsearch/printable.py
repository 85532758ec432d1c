"""Texts of files and databases from anybody, as they may go to a terminal."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """A text with what would steer a terminal made visible: ``\\x1b`` for an escape. Spaces of any width stay."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()
