"""Functions of the user's, found by the name that a study file has for them: ``train.py:objective``."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput
from hpsearch.text import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType


importing: list[str] = []
"""The modules of functions that are being imported."""


class NotFound(BadInput):
    """A function that cannot be imported; the message says where it was looked for."""


def is_file(module: str) -> bool:
    """Return whether the first part of a function's name is a file, not a module."""
    return module.endswith(".py") or "/" in module


def find_file(module: str, folders: Sequence[str]) -> Path:
    """Return the file of a function.

    Raises:
        NotFound: There is none.
    """
    places = list(dict.fromkeys(Path(folder, module) for folder in folders))  # an absolute path stays as it is
    for place in places:
        if place.is_file():
            return place
    raise NotFound(f"there is no file {' nor '.join(map(str, places))}")


def check_not_importing() -> None:
    """Check that nothing is imported: a script that starts its own search anew in each process would never end.

    Raises:
        BadInput: A function's module is being imported.
    """
    if importing:
        raise BadInput(
            f"{importing[-1]} starts a search when it is imported; put that below `if __name__ == '__main__':`"
        )


def imported(function: str, folders: Sequence[str]) -> Callable[[Any], Any]:
    """Import a function.

    Args:
        function: ``train.py:objective`` or ``package.module:name``.
        folders: Where its file or package is looked for, in this order.

    Raises:
        NotFound: It is not there, or its module cannot be imported.
    """
    source, _, name = function.rpartition(":")
    for folder in reversed(folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    importing.append(source)
    try:
        module = _from_file(find_file(source, folders)) if is_file(source) else importlib.import_module(source)
    except NotFound:
        raise
    except BaseException as error:
        looked = "" if is_file(source) else f"; looked for in {', '.join(map(repr, sys.path))}"
        raise NotFound(f"importing {source} failed: {reason(error)}{looked}") from error
    finally:
        importing.pop()
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    if value is None:
        known = sorted(key for key, of in vars(module).items() if callable(of) and not key.startswith("_"))
        raise NotFound(f"{getattr(module, '__file__', source)} has no {name!r}; it has: {', '.join(known[:20])}")
    if not callable(value):
        raise NotFound(f"{function} is {type(value).__name__}, which cannot be called")
    return value  # type: ignore[no-any-return]  # it is callable


def _from_file(path: Path) -> ModuleType:
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # what stands beside the file is imported as in a script
    for name in ("__main__", path.stem, f"hpsearch_{path.stem}"):  # what runs or has run is not run again
        loaded = sys.modules.get(name)
        if loaded is not None and os.path.abspath(getattr(loaded, "__file__", None) or "") == os.path.abspath(path):
            return loaded
    # Under the name by which others import it, so that its objects can be pickled; not in place of another module.
    name = path.stem if path.stem not in sys.modules else f"hpsearch_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NotFound(f"{path} is not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
