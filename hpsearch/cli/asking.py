"""Asking before something is removed."""

from __future__ import annotations

import sys

from hpsearch.errors import BadInput


def ask(question: str, wanted: str, *, yes: bool) -> None:
    """Go on only where the answer is the one that is wanted.

    Args:
        question: What is asked, on standard error: the answer of the command goes to standard output.
        wanted: What has to be typed.
        yes: Whether ``--yes`` was said, so that nothing is asked.

    Raises:
        BadInput: It was answered otherwise, or nobody is there to answer.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("nobody is there to be asked; say --yes to do it")
    sys.stderr.write(f"{question} ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != wanted:
        raise BadInput(f"nothing was changed: the answer was not {wanted}")
