"""What a check of a database finds: what is wrong, where, in how many places, and what a repair does about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHOWN = 5
"""Trials that a finding names; it counts all of them."""


class Place(NamedTuple):
    """Where something is wrong.

    Args:
        study: The study's key in the database, or None where no study is to blame.
        number: The trial's number there, or None.
        key: What a repair goes by: mostly the trial's key, or that of a row.
    """

    study: int | None
    number: int | None
    key: Any = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of damage in one study, or in the file.

    Args:
        kind: A short name for programs.
        what: What is wrong, for people; it reads on from "3 trials: ".
        places: Where.
        mend: What `hpsearch db repair` does about it; None where it can do nothing.
        study: The name of the study, or None.
        advice: What to do where a repair does nothing.
    """

    kind: str
    what: str
    places: Sequence[Place] = ()
    mend: str | None = None
    study: str | None = None
    advice: str | None = None
    many: int | None = None

    @property
    def count(self) -> int:
        """In how many places."""
        return len(self.places) if self.many is None else self.many

    @property
    def trials(self) -> list[int]:
        """The numbers of its trials."""
        return sorted({place.number for place in self.places if place.number is not None})

    @property
    def where(self) -> str:
        """The study and the first trials, for people."""
        numbers = self.trials
        said = ", ".join(map(str, numbers[:_SHOWN])) + (" ..." if len(numbers) > _SHOWN else "")
        trials = f"trial{'s' if len(numbers) > 1 else ''} {said}" if numbers else ""
        return ": ".join(part for part in (self.study or "", trials) if part) or "the file"

    def to_dict(self) -> dict[str, Any]:
        """The same for programs, with every trial."""
        return {
            "kind": self.kind,
            "what": self.what,
            "study": self.study,
            "trials": self.trials,
            "count": self.count,
            "repair": self.mend,
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Args:
        where: The database, for people.
        findings: What is wrong; nothing where the database is sound.
        studies: How many studies there are; None where they could not be read.
        trials: How many trials there are; likewise.
        names: The studies' names by their keys.
        notes: What was not looked at, and why.
    """

    where: str
    findings: Sequence[Finding]
    studies: int | None = None
    trials: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def broken(self) -> bool:
        """Whether SQLite itself cannot read all of the file, so that only a salvage helps."""
        return any(finding.kind in ("file", "header") for finding in self.findings)

    @property
    def mendable(self) -> list[Finding]:
        """Those that a repair does something about."""
        return [finding for finding in self.findings if finding.mend is not None]

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "database": self.where,
            "sound": self.sound,
            "studies": self.studies,
            "trials": self.trials,
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
        }
