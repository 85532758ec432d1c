"""Sections of a study file as pydantic models, and pydantic's errors as sentences; workers do without both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from hpsearch.errors import nearest


class Section(BaseModel):
    """A section: an unknown key or a value of another type is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


Count = Annotated[int, Field(ge=1, lt=2**63, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def explained(error: ValidationError, sections: Mapping[str, Any], also_called: Mapping[str, str]) -> list[str]:
    """Return the first three of pydantic's errors as sentences about a study file.

    Args:
        error: The errors.
        sections: The types of all sections of the file, by name.
        also_called: Names that people use for its keys.
    """
    return [_explain(details, sections, also_called) for details in error.errors()[:3]]


def _explain(details: ErrorDetails, sections: Mapping[str, Any], also_called: Mapping[str, str]) -> str:
    # A union's branches (count or fraction) append their names to the location; only keys are for people.
    path = [part for part in details["loc"] if isinstance(part, str) and part.isidentifier()]
    where = ".".join(path) or str(details["loc"][0] if details["loc"] else "file")
    if details["type"] == "extra_forbidden":
        *outer, key = map(str, details["loc"])
        here: Mapping[str, Any] = sections[outer[0]].model_fields if outer else sections
        place = f"[{outer[0]}]" if outer else "the file"
        meant = also_called.get(key.lower(), key)
        if outer and meant in sections and not hasattr(sections[meant], "model_fields"):
            return f"{key!r} is not a key of {place}; {meant} stands above the first [section]"
        for section, annotation in sections.items():
            if meant not in here and meant in getattr(annotation, "model_fields", ()):
                return f"{key!r} is not a key of {place}; {meant} stands in [{section}]"
        return f"{key!r} is not a key of {place}{nearest(meant, here)}"
    if details["type"] == "missing":
        return f"{where} is missing"
    given = repr(details["input"])
    given = given if len(given) <= 60 else given[:57] + "..."
    if details["type"] == "literal_error":
        allowed = re.findall(r"'(.*?)'", details["ctx"]["expected"])
        return f"{where} = {given}{nearest(str(details['input']), allowed)}"
    message = details["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]} (given: {given})"
