"""What can go wrong, as one tree of exceptions.

::

    HpsearchError                 exit code 1
    |-- BadInput                  exit code 2: what was asked cannot be done as asked
    |   |-- BadStudyFile          a study file that does not parse or does not make sense
    |   |-- BadData               a data set that is unknown, damaged or too small
    |   |-- BadSpace              a range, choice list or parameter name that is not usable
    |   |-- BadStorage            a storage URL or database that cannot be opened
    |   |-- UnknownSearch         no such search or stage in the database
    |   |-- StageConflict         the stage exists and says otherwise
    |   |-- EvaluatedAlready      the test images have been looked at
    |   |-- NotEnoughTrials       fewer finished trials than the command needs
    |   `-- MissingExtra          what was asked for needs a package that is not installed
    |-- StorageFailure            the database stopped working in the middle of a run
    |   `-- PassingFailure        and may work again in a moment: the connection to its server was lost
    |-- EvaluationFailure         no trial can be evaluated on this machine
    |-- DownloadFailure           a download that did not arrive whole
    |-- OutputFailure             a file or figure that could not be made
    `-- Interrupted               exit code 130: Ctrl-C, after everything finished was recorded

The command line prints the message on one line and exits with ``exit_code``. A message says what was
asked, what is allowed and what to do.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class HpsearchError(Exception):
    """The root: every error that hpsearch raises on purpose."""

    exit_code = 1


class BadInput(HpsearchError):
    """What was asked cannot be done as asked."""

    exit_code = 2


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
    """The stage exists already and says otherwise."""


class EvaluatedAlready(BadInput):
    """The test images of this search have been looked at, and a second look was not asked for."""


class NotEnoughTrials(BadInput):
    """Fewer finished trials than the command needs."""


class MissingExtra(BadInput):
    """What was asked for needs a package that is not installed: a driver, an extra. Said before anything is done."""


class StorageFailure(HpsearchError):
    """The database stopped working in the middle of a run."""


class PassingFailure(StorageFailure):
    """The connection to the database's server was lost, or another transaction was in the way; worth another try."""


class EvaluationFailure(HpsearchError):
    """No trial can be evaluated on this machine: its workers die, or do not start."""


class DownloadFailure(HpsearchError):
    """A download did not arrive whole, or not at all."""


class OutputFailure(HpsearchError):
    """A file or a figure could not be made: the disk is full, or no browser draws it."""


class Interrupted(HpsearchError):
    """Ctrl-C or SIGTERM, after everything that was finished had been recorded."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is meant: ``"; did you mean 'lr'? known: lr, momentum"``.

    Args:
        name: What was asked for.
        known: What there is.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    guess = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{guess} known: {', '.join(names) or '(none)'}"
