"""The errors that hpsearch raises on purpose: `BadInput` is the request's fault, every other one a failure.

An error is data. Nothing here or in the rooms that raise names an option (``--top``) or a command (``hpsearch
narrow``): a message refers to an `Argument` or an `Action`, and whoever shows it puts these into words. ``str(error)``
words them as Python does (``top=9``, ``narrow(top=5)``), `hpsearch.wording.word` as the command line does
(``--top 9``, ``hpsearch narrow --top 5``). There are three ways to raise::

    raise BadStorage(f"{path} is not a SQLite database")                     # nothing to refer to
    raise BadArgument("top", 9, "only 8 trials have finished", "use a smaller top")
    raise UnknownSearch(f"no search in {path} yet; `{{}}` begins one", Action("start", {"storage": path}))
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hpsearch.records import Action


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument that a message refers to: ``top=9``, which the command line prints as ``--top 9``."""

    name: str  # its name in `hpsearch.Search`
    value: Any = None  # its value; None where only its name matters

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"


def worded(text: str, mentions: Sequence[Action | Argument], word: Callable[[Action | Argument], str]) -> str:
    """Return a text with its mentions in place of the last ``{}``; the name of a file before them may hold others."""
    first, *others = text.rsplit("{}", len(mentions))
    return first + "".join(word(mention) + other for mention, other in zip(mentions, others, strict=False))


class HpsearchError(Exception):
    """The root: every error that hpsearch raises on purpose.

    Args:
        text: Subject, verb, object, then the remedy; ``{}`` stands for each mention.
        mentions: Arguments and actions that the text refers to.
    """

    exit_code = 1

    def __init__(self, text: str = "", *mentions: Action | Argument) -> None:
        super().__init__(text, *mentions)

    def worded(self, word: Callable[[Action | Argument], str] = str) -> str:
        """Return the message.

        Args:
            word: Puts an action or an argument into words; by default as Python code.
        """
        text, *mentions = self.args
        return worded(text, mentions, word)

    def __str__(self) -> str:
        return self.worded()


class BadInput(HpsearchError):
    """The request cannot be carried out as given."""

    exit_code = 2


@dataclass(eq=False)
class BadArgument(BadInput):
    """An argument that is out of its bounds, or does not go with another."""

    name: str  # the argument, as the methods of `hpsearch.Search` call it
    value: Any  # its value; None where its mere presence is the problem
    problem: str  # what is wrong with it
    remedy: str | None = None  # what to do instead

    def worded(self, word: Callable[[Action | Argument], str] = str) -> str:
        """Return ``name=value: problem; remedy``, the argument worded by ``word``."""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{word(Argument(self.name, self.value))}: {self.problem}{remedy}"


class BadStudyFile(BadInput):
    """A study file that does not parse or does not make sense."""


class BadData(BadInput):
    """A data set that is unknown, damaged or too small for what is asked of it."""


class BadSpace(BadInput):
    """A range, a list of choices or a parameter name that is not usable."""


class BadStorage(BadInput):
    """A storage URL or a database that cannot be opened."""


class UnknownSearch(BadInput):
    """No such search or stage in the database."""


class StageConflict(BadInput):
    """The stage exists already, with other settings."""


class EvaluatedAlready(BadInput):
    """The search has been evaluated on the test set, and a second evaluation was not requested."""


class NotEnoughTrials(BadInput):
    """Fewer trials have finished than the request needs."""


class MissingExtra(BadInput):
    """A package that the request needs is not installed: a driver, an extra."""


class StorageFailure(HpsearchError):
    """The database stopped working in the middle of a run."""


class DamagedStorage(BadStorage, StorageFailure):
    """A database whose file is damaged, or in which somebody else has written what hpsearch cannot read."""


class TransientStorageError(StorageFailure):
    """The connection to the database's server was lost, or another transaction was in the way; worth another try."""


class EvaluationFailure(HpsearchError):
    """No trial can be evaluated on this machine: its workers die, or do not start."""


class DownloadFailure(HpsearchError):
    """A download did not arrive whole, or not at all."""


class OutputFailure(HpsearchError):
    """A file or a figure could not be made: the disk is full, or no browser draws it."""


class ServerFailure(HpsearchError):
    """A server of hpsearch's cannot be reached, or failed."""


class Interrupted(HpsearchError):
    """Ctrl-C or SIGTERM, after everything that was finished had been recorded."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known name: ``"; did you mean 'lr'? known: lr, dropout"``.

    Args:
        name: The unknown name.
        known: The names there are.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    guess = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{guess} known: {', '.join(names) or '(none)'}"
