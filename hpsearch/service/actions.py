"""Actions that may be asked for over HTTP, as pydantic models: none names a file, code, a database or a host.

Arguments are called as in `hpsearch.Search`, and ``output`` is the form of what is printed. What is left out is the
command line's default. Bounds are those of the commands, which check them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hpsearch.errors import BadArgument, BadStudyFile
from hpsearch.records import DEFAULT_STUDY, Action, Stage
from hpsearch.search.narrowing import stage_to_narrow
from hpsearch.search.stage import latest_with_trials, pick, resolve_stage, stages_of
from hpsearch.service.settings import Settings
from hpsearch.store import Store, open_store
from hpsearch.study_file import STUDIES_FOLDER, find
from hpsearch.wording import words

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # of a search
_MOST = 10**9


def no_file(name: str) -> str:
    """Return a name; refuse that of a study file, which `hpsearch.Search` would read."""
    if name.endswith(".toml"):
        raise ValueError("it is a file; give the name of a search")
    return name


NO_FILE: dict[str, Any] = {"not": {"pattern": r"\.toml$"}}  # as `no_file`, for OpenAPI
SearchName: TypeAlias = Annotated[
    str, Field(pattern=f"^{NAME}$", examples=["mnist"], json_schema_extra=NO_FILE), AfterValidator(no_file)
]
# The name of a search, of a stage or of a confirmation.
StageName: TypeAlias = Annotated[
    str,
    Field(pattern=rf"^{NAME}(/(stage|confirm)-[0-9]{{1,6}})?$", examples=["mnist"], json_schema_extra=NO_FILE),
    AfterValidator(no_file),
]
TrialState: TypeAlias = Literal["complete", "pruned", "fail", "running", "waiting"]
Count: TypeAlias = Annotated[int, Field(ge=1, le=_MOST)]
Number: TypeAlias = Annotated[int, Field(ge=0, le=_MOST)]
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """Data from a client, which says nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Arguments(Strict):
    """Arguments of an action over a search."""

    search: StageName | None = None
    stage: Count | None = None
    output: Literal["table", "csv", "json"] | None = None


class Execution(Arguments):
    """Arguments of everything that runs trials."""

    jobs: Annotated[int, Field(ge=1, le=1024)] | None = None
    engine: Literal["pool", "inline"] | None = None
    lanes: Count | None = None


class Limited(Execution):
    """Arguments of a run that limits may end."""

    trials: Count | None = None
    timeout: Text | Annotated[float, Field(gt=0)] | None = Field(None, examples=["10m"])
    until: Text | None = Field(None, examples=["score >= 0.9"])
    max_failures: Count | None = None


class Start(Limited):
    """Arguments of ``start``; the search may be the name of a study file in the server's folder."""

    stages: Annotated[int, Field(ge=1, le=1000)] | None = None
    top: Count | None = None
    expand: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    pruner: Literal["halving", "median", "none"] | None = None
    epochs: Count | None = None


class Refine(Limited):
    """Arguments of ``refine``."""

    sampler: Literal["surrogate", "tpe", "gp"] | None = None
    batch: Annotated[int, Field(ge=1, le=1000)] | None = None


class Confirm(Execution):
    """Arguments of ``confirm``."""

    top: Annotated[int, Field(ge=1, le=200)] | None = None
    repeats: Annotated[int, Field(ge=2, le=1000)] | None = None


class Evaluate(Arguments):
    """Arguments of ``evaluate``."""

    trial: Number | None = None
    by: Literal["confirmed", "best"] | None = None
    epochs: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    again: bool = False


class Narrowing(Strict):
    """Options of a narrowing."""

    top: Count | None = None
    quantile: Annotated[float, Field(gt=0, le=1)] | None = None
    source: Literal["trials", "confirm"] = "trials"
    stage: Count | None = None
    expand: bool = False
    rule: Literal["surrogate", "order-statistics"] = "surrogate"
    regardless: bool = False
    epochs: Count | None = None
    branch: bool = False
    dry_run: bool = False


class Narrow(Narrowing, Arguments):
    """Arguments of ``narrow``."""


class Retry(Arguments):
    """Arguments of ``retry``."""

    numbers: Annotated[list[Number], Field(max_length=1000)] | None = None


KindT = TypeVar("KindT", bound=str)
ArgumentsT = TypeVar("ArgumentsT", bound=Strict)


class ActionRequest(Strict, Generic[KindT, ArgumentsT]):
    """An action as clients send it."""

    kind: KindT
    arguments: ArgumentsT

    @property
    def action(self) -> Action:
        """Return it as an action, without what was not given."""
        return Action(self.kind, self.arguments.model_dump(exclude_none=True, exclude_defaults=True))


# What a job is made of.
JobAction: TypeAlias = Annotated[
    ActionRequest[Literal["start"], Start]
    | ActionRequest[Literal["refine"], Refine]
    | ActionRequest[Literal["confirm"], Confirm]
    | ActionRequest[Literal["evaluate"], Evaluate]
    | ActionRequest[Literal["narrow"], Narrow]
    | ActionRequest[Literal["retry"], Retry],
    Field(discriminator="kind"),
]


def bad_argument(errors: Sequence[Mapping[str, Any]]) -> BadArgument:
    """Return pydantic's first error as ours, in one line."""
    first = errors[0]
    place, given = [str(part) for part in first["loc"]], first.get("input")
    short = isinstance(given, str | int | float) and len(str(given)) <= 100 and str(given).isprintable()
    text = str(first["msg"])
    if not text[1:2].isupper():  # as in JSON
        text = text[:1].lower() + text[1:]
    return BadArgument(".".join(place) or "body", given if short else None, text)


def settle_stages(actions: Sequence[Action], settings: Settings) -> list[Action]:
    """Return the actions of a job with their search and their stage, so that doing them twice is doing them once.

    A start or a narrowing settles which stage the actions after it are about.

    Raises:
        BadInput: There is no such search and no such study file.
    """
    with closing(open_store(settings.storage)) as store:
        known, settled = store.stages(), list(actions)
        # The stage of the last start of each search; None: one that is still to be made.
        begun: dict[str, int | None] = {}
        for at, action in enumerate(actions):
            name = action.arguments.get("search") or _only(store, known, action.kind)
            search, number = resolve_stage(name, action.arguments.get("stage"), confirmation=True)
            assert search is not None
            stages = [stage for stage in known if stage.search == search]
            if action.kind == "start":
                _check_file(search, stages, settings)
            elif not stages and search not in begun:
                stages_of(store, search)  # raises
            if search in begun:
                made = begun[search]
            elif number is not None and stages:
                made = pick(stages, number).number
            else:
                made = _stage(action.kind, store, stages)
            if number is None and action.kind != "evaluate":  # which is of all stages
                number = made
            settled[at] = replace(action, arguments={**action.arguments, "search": name, "stage": number})
            if action.kind == "start":
                begun[search] = number
            elif action.kind in ("narrow", "refine"):
                begun[search] = None
        return settled


def _only(store: Store, known: Sequence[Stage], kind: str) -> str:
    """Return the search that a command is about which names none."""
    searches = {stage.search for stage in known}
    if kind == "start" and len(searches) != 1:
        return DEFAULT_STUDY
    return stages_of(store, None)[0].search


def _check_file(search: str, stages: Sequence[Stage], settings: Settings) -> None:
    """Check the study file that a start reads; it may be missing where the search has begun."""
    file = settings.studies / f"{search}.toml"
    if stages and not file.is_file():
        return
    if (name := find(search, folder=settings.studies).name) != search:
        raise BadStudyFile(f"the study file {search}.toml is of the search {name}; rename it to {name}.toml")


def _stage(kind: str, store: Store, stages: Sequence[Stage]) -> int:
    """Return the number of the stage that a command is about which names none."""
    if kind in ("start", "refine"):
        return stages[-1].number if stages else 1
    return (stage_to_narrow if kind == "narrow" else latest_with_trials)(store, stages).number


def command_line(action: Action, settings: Settings) -> list[str]:
    """Return what `hpsearch.__main__.main` is given to carry out an action at this server."""
    given = {**action.arguments, "storage": settings.storage}
    file = settings.studies / f"{given.get('search')}.toml"
    if action.kind == "start" and settings.studies != STUDIES_FOLDER and file.is_file():
        given["search"] = str(file)
    return words(replace(action, arguments=given))
