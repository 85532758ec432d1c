"""The page of a new search: a study file of the server's folder to start, or to make another one from by a form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from hpsearch.api import searches
from hpsearch.errors import BadInput
from hpsearch.reports.page import Table
from hpsearch.service.auth import Role, needs
from hpsearch.service.hub import hub_of
from hpsearch.service.pages.rendering import render
from hpsearch.service.problems import word
from hpsearch.service.studies import describe, list_studies, read_study
from hpsearch.space import Categorical, parameter_to_dict
from hpsearch.space import describe as range_words
from hpsearch.study_file import Pruning, StudyFile, Trials

ROUTER = APIRouter(prefix="/hp", dependencies=[needs(Role.READ)], include_in_schema=False)
_LONE = {"boolean": "flag", "array": "list", "integer": "number", "number": "number"}  # of types; else ``text``


@dataclass(frozen=True, slots=True)
class FormField:
    """A key of a section as a field of a form."""

    section: str
    key: str
    control: str  # ``choice``, ``flag``, ``number``, ``list``, ``any`` (a number or a text) or ``text``
    value: Any
    options: tuple[str, ...] = ()  # of ``choice``
    least: float | None = None  # of ``number``
    most: float | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class RangeRow:
    """A parameter that may be sampled, as a row of a form."""

    name: str
    mode: str  # ``range``, ``choices``, or empty: it is not sampled
    modes: tuple[str, ...]  # those that it may have
    range: Mapping[str, Any]  # as in the study file

    @property
    def choices(self) -> str:
        """Its choices, as they are typed."""
        return ", ".join(
            str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in self.range.get("choices", ())
        )


@ROUTER.get("/new")
def new(request: Request, file: Annotated[str | None, Query(alias="from")] = None) -> HTMLResponse:
    """Return the study files, or the form of one."""
    settings = hub_of(request).settings
    if file is None:
        return render(request, "new", files=list_studies(settings.studies), file=None)
    try:
        study = read_study(file, settings.studies)
    except BadInput as error:
        return render(request, "new", 404, files=list_studies(settings.studies), file=None, refused=error.worded(word))
    ranges = {name: range_words(parameter) + study.only_where(name) for name, parameter in study.space.items()}
    return render(
        request,
        "new",
        file=describe(file, settings.studies),
        begun=study.name in searches(settings.storage),
        table=Table("Ranges", {"parameter": list(ranges), "range": list(ranges.values())}),
        sections=dict(_sections(study)) if _may_be_sent(study) else None,
        rows=[_row(study, name) for name in study.kind.parameters or ()],
    )


def _may_be_sent(study: StudyFile) -> bool:
    with suppress(BadInput):
        study.sections.check_sent(study.space)
        return True
    return False


def _sections(study: StudyFile) -> Iterator[tuple[str, list[FormField]]]:
    """Yield the sections that a form may have, each with its fields, filled in from a study file."""
    plain, own = study.to_dict(), study.kind.sections()
    known: Mapping[str, Iterable[str]] = getattr(study.kind.runtime(), "KNOWN", {})
    may_be_sent: Mapping[str, tuple[str, ...]] = getattr(own, "sent", {})
    schemas = own.model_json_schema()["$defs"]
    models = {name: schemas[field.annotation.__name__] for name, field in own.model_fields.items() if field.annotation}
    models |= {"trials": Trials.model_json_schema(), "pruning": Pruning.model_json_schema()}
    for section, schema in models.items():
        keys = may_be_sent.get(section, tuple(schema["properties"]))
        fields = []
        for key in keys:
            if "const" not in (about := schema["properties"][key]):
                names = tuple(known.get(f"{section}.{key}", ()))
                fields.append(_field(section, key, about, plain[section].get(key), known=names))
        yield section, fields


def _field(section: str, key: str, schema: Mapping[str, Any], value: Any, *, known: tuple[str, ...] = ()) -> FormField:
    """Return the field of a key by its JSON schema, and by the names that its value may have, where they are known."""
    if value in known:
        return FormField(section, key, "choice", value, known)
    if "enum" in schema:
        return FormField(section, key, "choice", value, tuple(schema["enum"]))
    forms = [form for form in schema.get("anyOf", [schema]) if form.get("type") != "null"]
    types = {form["type"] for form in forms}
    if types & {"integer", "number"} and "string" in types:
        return FormField(section, key, "any", value)
    first = forms[0]
    control = _LONE.get(first["type"], "text")
    text = ", ".join(map(str, value or ())) if control == "list" else value
    least, most = (
        first.get("minimum", first.get("exclusiveMinimum")),
        first.get("maximum", first.get("exclusiveMaximum")),
    )
    most = None if most is not None and most >= 2**53 else most  # of which JavaScript knows no neighbour
    return FormField(section, key, control, text, least=least, most=most, whole=types == {"integer"})


def _row(study: StudyFile, name: str) -> RangeRow:
    natural = (study.kind.parameters or {})[name]
    modes = ("choices",) if natural.type in ("categorical", "bool") else ("range", "choices")
    if (parameter := study.space.get(name)) is None:
        return RangeRow(name, "", modes, {})
    return RangeRow(
        name, "choices" if isinstance(parameter, Categorical) else "range", modes, parameter_to_dict(parameter)
    )
