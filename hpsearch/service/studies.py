"""Study files of a server: those of its folder and of the package, and those that clients send.

What a client sends names neither code nor a command nor a file: an objective of one's own is a file that somebody with
access to the server's folder puts there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from hpsearch.data.datasets import KNOWN, whereabouts
from hpsearch.errors import BadInput, BadStudyFile, OutputFailure, nearest
from hpsearch.files import make_folder
from hpsearch.objectives.kinds import DEFAULT, kind_of
from hpsearch.serialization import to_toml, toml_key
from hpsearch.study_file import StudyFile, check_name, find, parse, shipped

MOST_TRIALS = 10_000  # of a stage of a study file that is sent
_MOST_BYTES = 2**16  # of its text


@dataclass(frozen=True, slots=True)
class Listed:
    """A study file of a server."""

    name: str  # the name by which it is started
    shipped: bool  # whether it is one of the package's
    search: str | None = None  # the name of its search; None, as all below, of a file that cannot be used
    kind: str | None = None  # the kind of its objective
    metric: str | None = None
    direction: str | None = None
    trials: int | None = None  # of a stage
    epochs: int | None = None  # of a trial; None also where trials have none
    parameters: tuple[str, ...] = ()  # those that are sampled
    problem: str | None = None  # why it cannot be used


def list_studies(folder: Path) -> tuple[Listed, ...]:
    """Return the study files of a folder and those of the package, in alphabetical order."""
    return tuple(describe(name, folder) for name in _names(folder))


def describe(name: str, folder: Path) -> Listed:
    """Return what a list says of a study file."""
    is_shipped = not (folder / f"{name}.toml").exists()
    try:
        study = read_study(name, folder)
    except BadInput as error:
        return Listed(name, is_shipped, problem=str(error))
    about = (study.kind.name, study.metric, study.direction, study.trials.count, study.epochs)
    return Listed(name, is_shipped, study.name, *about, tuple(study.space))


def read_study(name: str, folder: Path) -> StudyFile:
    """Return a study file of a server by its name.

    Raises:
        BadStudyFile: There is none, or it does not make sense.
    """
    return find(startable(name, folder))


def startable(name: str, folder: Path) -> str:
    """Return what starts a study file: the path of one in a server's folder, or the name of one of the package's.

    Raises:
        BadStudyFile: There is none of this name.
    """
    if (path := folder / f"{check_name(name)}.toml").is_file():
        return str(path)
    if name not in shipped():
        raise BadStudyFile(f"no study file {name!r} on the server{nearest(name, _names(folder))}")
    return name


def _names(folder: Path) -> list[str]:
    return sorted({path.stem for path in folder.glob("*.toml")} | shipped().keys())


def sent_study(name: str, study: Mapping[str, Any]) -> StudyFile:
    """Return the study file that a client sends, checked.

    Args:
        name: Its name, and that of its search.
        study: The file as plain data. What it does not say has its default.

    Raises:
        BadInput: It does not make sense, is about code or files, or asks for too much.
    """
    # Before anything of it is read: what it names might be imported.
    if kind_of(study) is not DEFAULT or study.get("constraints"):
        what = "constraints" if study.get("constraints") else "an objective of your own"
        raise BadStudyFile(f"{what} cannot be sent; put the study file into the folder of the server")
    if study.get("name", name) != name:
        raise BadStudyFile(f"name = {str(study['name'])[:60]!r} in the study file is not {name[:60]!r}; leave it out")
    parsed = parse({**study, "name": name}, source="the study file")
    parsed.sections.check_sent(parsed.space)
    if parsed.trials.count > MOST_TRIALS:
        raise BadStudyFile(f"{parsed.trials.count:,} trials; a study file that is sent may have {MOST_TRIALS:,}")
    if whereabouts(data := parsed.sections.data.name) is None:
        remedy = KNOWN[data].remedy
        raise BadStudyFile(f"the server does not have the data set {data}; there: {remedy.text}", *remedy.mentions)
    parsed.check_names()
    return parsed


def write_sent(name: str, study: Mapping[str, Any], folder: Path) -> Listed:
    """Write a study file that a client sends into a server's folder; the same one again changes nothing.

    Raises:
        BadInput: It is refused (`sent_study`), or there is another one of its name.
    """
    parsed, text = sent_study(name, study), text_of(name, study).encode()
    if len(text) > _MOST_BYTES:
        raise BadStudyFile(f"the study file has {len(text):,} bytes; one that is sent may have {_MOST_BYTES:,}")
    if name not in shipped():
        _write_new(folder / f"{name}.toml", text)
    if read_study(name, folder) != parsed:
        raise BadStudyFile(f"there is another study file {name}; give this one another name")
    return describe(name, folder)


def _write_new(path: Path, text: bytes) -> None:
    """Write a file whole; one that is there already stays, also one that somebody else has just written."""
    make_folder(path.parent)
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}.") as whole:
            whole.write(text)
            whole.flush()
            os.chmod(whole.name, 0o644)
            with suppress(FileExistsError):
                os.link(whole.name, path)
    except OSError as error:
        raise OutputFailure(f"cannot write {path}: {error.strerror}") from error


def text_of(name: str, study: Mapping[str, Any]) -> str:
    """Return plain data of a study file as TOML, without what is null."""
    lines = [f"name = {to_toml(name)}"]
    for section, values in study.items():
        if isinstance(values, Mapping):
            lines += ["", f"[{toml_key(section)}]"]
            lines += [f"{toml_key(key)} = {to_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join([*lines, ""])
