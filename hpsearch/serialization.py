"""The JSON form of records, that of ``--format json``, files and HTTP answers; and values of TOML."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping, Set
from datetime import date, timedelta
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import Any

from hpsearch.records import Action, Argument, Sentence
from hpsearch.space import Categorical, Float, Int, parameter_to_dict


def to_plain(record: Any, *, word: Callable[[Action | Argument], str] | None = None) -> Any:
    """Return a record as plain data that `json.dumps` writes.

    A dataclass becomes a dict of its fields without those of ``repr=False`` (arrays, handles); metadata ``json``
    renames a field. NaN and infinity become None, times ISO 8601, durations seconds, NumPy arrays lists and NumPy
    scalars Python's, paths texts, enumerations their values, sets sorted lists, and a parameter's range has the form
    of a study file.

    Args:
        record: A dataclass, a mapping, a sequence or a value, nested in any way.
        word: Puts actions and arguments into words, also those in sentences; without it an action is a dict.
    """
    plain = partial(to_plain, word=word)
    match record:
        case None | bool() | int() if not isinstance(record, Enum):
            return record
        case Enum():
            return record.value
        case str():
            return str(record)
        case float():
            return float(record) if math.isfinite(record) else None
        case Float() | Int() | Categorical():
            return parameter_to_dict(record)
        case Sentence():
            return record.worded(word or str)
        case Action() | Argument() if word is not None:
            return word(record)
        case Mapping():
            return {str(plain(name)): plain(value) for name, value in record.items()}
        case list() | tuple():
            return [plain(value) for value in record]
        case Set():
            return sorted(map(plain, record))
        case date():
            return record.isoformat()
        case timedelta():
            return record.total_seconds()
        case PurePath():
            return str(record)
    if dataclasses.is_dataclass(record):
        shown = [field for field in dataclasses.fields(record) if field.repr]
        return {field.metadata.get("json", field.name): plain(getattr(record, field.name)) for field in shown}
    if hasattr(record, "tolist"):  # NumPy's arrays and scalars
        return plain(record.tolist())
    raise TypeError(f"{type(record).__name__} has no JSON form")


def toml_key(name: str) -> str:
    """Return a name as a key of TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else to_toml(name)


def to_toml(value: Any) -> str:
    """Return plain data as one value of TOML."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{toml_key(key)} = {to_toml(of)}' for key, of in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_toml, value))}]"
    # JSON's texts are TOML's, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
