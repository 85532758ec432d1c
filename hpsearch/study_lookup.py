"""Where study files come from: a path, ``studies/``, or the package."""

from __future__ import annotations

import os
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from hpsearch.commands import DEFAULT_STUDY
from hpsearch.errors import BadStudyFile, nearest
from hpsearch.files import replacing
from hpsearch.objectives.kinds import DEFAULT
from hpsearch.study_file import StudyFile, check_name, parse

STUDIES_FOLDER = Path("studies")
_DATA = (".npz", ".npy", ".csv", ".parquet", ".gz", "-ubyte")


def read(path: Path) -> StudyFile:
    """Read and check a study file.

    Raises:
        BadStudyFile: It is missing, not TOML, or does not make sense.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadStudyFile(f"cannot read the study file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadStudyFile(f"{path} is not a text file in UTF-8") from error
    return _from_text(text, source=str(path))


def _from_text(text: str, *, source: str) -> StudyFile:
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadStudyFile(f"{source} is not valid TOML: {' '.join(str(error).split())}") from error
    except (RecursionError, ValueError) as error:  # nested without end, or a number of thousands of digits
        raise BadStudyFile(f"{source} is not TOML that can be read: {' '.join(str(error).split())}") from error
    return parse(plain, source=source)


def shipped_text(name: str = DEFAULT_STUDY) -> str | None:
    """The text of a study file that ships in the package, or None where there is no such file."""
    for folder in _shipped():
        if (folder / f"{name}.toml").is_file():
            return (folder / f"{name}.toml").read_text(encoding="utf-8")
    return None


def shipped_names() -> set[str]:
    """The names of the study files that ship in the package."""
    return {
        file.name.removesuffix(".toml")
        for folder in _shipped()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    }


def _shipped() -> tuple[Traversable, ...]:
    # A checkout installed in place keeps its study files beside the package.
    return resources.files("hpsearch") / "studies", Path(__file__).resolve().parent.parent / "studies"


def find(study: str | None, *, folder: Path = STUDIES_FOLDER) -> StudyFile:
    """The study file that a person means: a path, or a name in ``studies/`` or among the shipped ones.

    Args:
        study: ``studies/mine.toml``, ``mine``, or None for the default, ``mnist``.
        folder: Where names are looked up first.

    Raises:
        BadStudyFile: There is no such file, or it does not make sense.
    """
    wanted = DEFAULT_STUDY if study is None else study
    is_path = "/" in wanted or wanted in (".", "..")
    if wanted.endswith(_DATA) or (is_path and os.path.isdir(wanted)):
        raise _no_study(wanted)
    if is_path or wanted.endswith(".toml"):
        return read(Path(wanted))
    check_name(wanted)
    local = folder / f"{wanted}.toml"
    if local.is_file():
        return read(local)
    text = shipped_text(wanted)
    if text is None and os.path.isdir(wanted):
        raise _no_study(wanted)
    if text is None:
        known = {path.stem for path in folder.glob("*.toml")} | shipped_names()
        raise BadStudyFile(f"no study file {local}{nearest(wanted, known)}; `hpsearch init {wanted}` writes one")
    return _from_text(text, source=f"the shipped {wanted}.toml")


def _no_study(wanted: str) -> BadStudyFile:
    return BadStudyFile(
        f"{wanted} is no study file; to search on data of your own, write a study file (`hpsearch init NAME`) and "
        "give the data as path = ... under [data]"
    )


def write_study(name: str, *, folder: Path = STUDIES_FOLDER, force: bool = False) -> Path:
    """Write a commented study file.

    Args:
        name: Of the search; the file is ``NAME.toml``.
        folder: Where it goes; made if it is missing.
        force: Overwrite a file that is there.

    Raises:
        BadStudyFile: The name is not one, the file is there already, or it cannot be written.
        OutputFailure: The disk is full, and the old file stays.
    """
    path = folder / f"{check_name(name)}.toml"
    try:
        if folder.exists() and not folder.is_dir():
            raise BadStudyFile(f"cannot write {path}: {folder} is not a folder; move that file away")
        folder.mkdir(exist_ok=True)
        if force:
            with replacing(path) as neighbour:
                neighbour.write_text(DEFAULT.template(name), encoding="utf-8")
        else:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(DEFAULT.template(name))
    except FileExistsError as error:
        raise BadStudyFile(f"{path} is there already; --force overwrites it") from error
    except OSError as error:
        raise BadStudyFile(f"cannot write {path}: {error.strerror}") from error
    return path
