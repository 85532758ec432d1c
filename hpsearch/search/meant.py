"""What is meant by the name of a search: everything printed names stages, so a stage's name is understood too."""

from __future__ import annotations

import re

from hpsearch.errors import BadInput, UnknownSearch

_NAME = re.compile(r"([^/]+)/(stage|confirm)-(\d{1,6})")


def stage_meant(
    given: str | None, number: int | None = None, *, confirmation: bool = False
) -> tuple[str | None, int | None]:
    """The search and the number of the stage that are meant: ``mnist/stage-02`` is stage 2 of ``mnist``.

    Args:
        given: The name of a search, of a stage of it, or the path of a study file; None for the only search.
        number: The stage's number where that is given too; None for what the command takes by itself.
        confirmation: Whether ``mnist/confirm-02`` may stand for stage 2, which it confirms.

    Raises:
        BadInput: Two different stages are named.
        BadStudyFile: There is no such study file, or it cannot be used.
        UnknownSearch: The name of a confirmation where one makes no sense.
    """
    if given is not None and given.endswith(".toml"):
        from hpsearch.study_lookup import find

        given = find(given).name
    return study_meant(given, number, confirmation=confirmation)


def study_meant(
    given: str | None, number: int | None = None, *, confirmation: bool = False
) -> tuple[str | None, int | None]:
    """As `stage_meant`, for a command that reads the study file: its path is left as it is."""
    named = _NAME.fullmatch(given or "")
    if named is None:
        return given, number
    search, kind, digits = named.groups()
    if kind == "confirm" and not confirmation:
        raise UnknownSearch(
            f"{given} is a confirmation: `confirm {given}` shows it, `narrow {search} --stage {int(digits)} "
            f"--from confirm` and `evaluate {search} --stage {int(digits)} --confirmed` go by it"
        )
    if number not in (None, int(digits)):
        raise BadInput(f"{given} with --stage {number}: these are two stages; leave one out")
    return search, int(digits)


def search_meant(given: str | None) -> str | None:
    """The search that is meant, for what is about a whole search.

    Raises:
        BadInput: A stage was named.
        BadStudyFile: There is no such study file, or it cannot be used.
        UnknownSearch: The name of a confirmation.
    """
    search, number = stage_meant(given)
    if number is not None:
        raise BadInput(f"{given} is one stage, and this is about a whole search: give {search}")
    return search
