"""Reading an export back: header, trials and curves, whatever the form."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput
from hpsearch.exchange import csv_files, json_file, parquet_files
from hpsearch.exchange.columns import CURVES, trial_columns
from hpsearch.exchange.exporting import SIDECAR
from hpsearch.exchange.header import Header, parse_header

if TYPE_CHECKING:
    from hpsearch.exchange.columns import Column, Piece

_MOST_HEADER = 2**28
"""Bytes of a sidecar; more is none."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An export that is being read.

    Args:
        source: The file's name, without its folder.
        header: Where its trials come from.
        trials: The rows of its trials, a list for each column.
        curves: The rows of its curves, piece by piece, read once; empty where it has none.
    """

    source: str
    header: Header
    trials: Mapping[str, list[Any]]
    curves: Iterator[Piece]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive | None]:
    """An export of ours; None for a table of somebody else's.

    Args:
        path: The file with its trials, as `trials_file` finds it.

    Raises:
        BadInput: It cannot be read, is damaged, or is not what was exported.
        MissingExtra: Parquet without pyarrow.
    """
    match path.suffix.lower():
        case ".json":
            yield _json(path)
        case ".parquet":
            with _parquet(path) as archive:
                yield archive
        case ".csv":
            yield _csv(path)
        case _:
            raise BadInput(f"{path} is no file that can be imported; give a .csv, .parquet or .json, or a database URL")


def trials_file(path: Path) -> Path:
    """The file with the trials of an export, or of a table.

    Args:
        path: It, the file that ``export`` was told to write, or the sidecar.

    Raises:
        BadInput: There is no such file.
    """
    if path.is_dir():
        raise BadInput(f"{path} is a folder; give a file")
    trials = path.with_name(f"{path.stem}.trials{path.suffix}")
    if path.name.endswith(SIDECAR):
        stem = path.name.removesuffix(SIDECAR)
        for name in (f"{stem}.trials.csv", f"{stem}.csv"):
            if path.with_name(name).exists():
                return path.with_name(name)
    if not path.exists() and trials.exists():
        return trials
    if not path.exists():
        raise BadInput(f"there is no file {path}")
    return path


def _curves_beside(path: Path) -> Path | None:
    """The file with the curves of the same export, if it is there."""
    if not path.stem.endswith(".trials"):
        return None
    other = path.with_name(f"{path.stem.removesuffix('.trials')}.curves{path.suffix}")
    return other if other.exists() else None


def _sidecar(path: Path) -> Path | None:
    """The file with the header of a CSV file, if it is there: of a single table, or of two."""
    stems = (path.stem, path.stem.removesuffix(".trials"), path.stem.removesuffix(".curves"))
    found = (path.with_name(f"{stem}{SIDECAR}") for stem in stems)
    return next((file for file in found if file.exists()), None)


def _json(path: Path) -> Archive:
    plain = json_file.load(path)
    header = parse_header(plain, source=str(path))
    trials = json_file.table(path, plain, "trials", _columns(header))
    curves = json_file.table(path, plain, "curves", CURVES)
    if trials is None:
        raise _curves_only(path)
    return Archive(path.name, header, trials, iter(() if curves is None else (json_file.curves(curves),)))


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Archive | None]:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(parquet_files.Opened(path))
        text = file.header
        if text is None:
            yield None
            return
        header = parse_header(text, source=str(path))
        if "epoch" in file.headings:
            raise _curves_only(path)
        other = _curves_beside(path)
        curves: Iterator[Piece] = iter(())
        if other is not None:
            of_curves = stack.enter_context(parquet_files.Opened(other))
            if of_curves.header != text:
                raise BadInput(f"{other} is of another export than {path}; move it away, or export both again")
            curves = of_curves.curves(CURVES)
        yield Archive(path.name, header, file.read(_columns(header)), curves)


def _csv(path: Path) -> Archive | None:
    sidecar = _sidecar(path)
    if sidecar is None:
        return None
    if sidecar.stat().st_size > _MOST_HEADER:
        raise BadInput(f"{sidecar} is too large for the header of an export")
    header = parse_header(json_file.load(sidecar), source=str(sidecar))
    single = sidecar.name == f"{path.stem}{SIDECAR}"
    if "trials" not in header.files or (path.stem.endswith(".curves") and not single):
        raise _curves_only(path)
    _check_digest(path, header, "trials")
    other = None if single else _curves_beside(path)
    if other is not None:
        _check_digest(other, header, "curves")
    curves = iter(()) if other is None else csv_files.read_curves(other, CURVES)
    return Archive(path.name, header, csv_files.read(path, _columns(header)), curves)


def _check_digest(path: Path, header: Header, table: str) -> None:
    try:
        digest = csv_files.sha256(path)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    if digest != header.files.get(table):
        raise BadInput(
            f"{path} is cut off or has been changed since it was exported (its sha256 is another); export it again, or "
            f"move the {SIDECAR} file away to import it as a table without its stages"
        )


def _curves_only(path: Path) -> BadInput:
    return BadInput(f"{path} has curves only; export the trials too (--what all), and give the file with them")


def _columns(header: Header) -> tuple[Column, ...]:
    whole = {stage.number for stage in header.stages if stage.trials is not None}
    return trial_columns([stage for stage in header.new_stages() if stage.number in whole])
