"""What travels with the tables: where the trials come from, so that an import restores the stages themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hpsearch.errors import BadInput, HpsearchError
from hpsearch.exchange.columns import CURVES, PARAMS, SERIES, TRIALS, dictionary, trial_columns
from hpsearch.records import Direction, NewStage
from hpsearch.space import Parameter, space_from_dict, space_to_dict
from hpsearch.study_file import check_name

KEY = "hpsearch_export"
"""The key of the header in a JSON file and in parquet's schema metadata, and the sidecar's first."""
LAYOUT = 1
"""The number of the files' layout; a newer hpsearch may write another."""

_LONGEST_NAME = 200


class _Model(BaseModel):
    # What a later version adds beside the known keys is no reason to refuse a file.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class StageHeader(_Model):
    """A stage as it travels; see `hpsearch.records.NewStage`.

    Args:
        trials: How many trials of it are in the table; None where only the stage itself is, for its descendants' sake.
        series: The learning curves that its trials keep beside their score's.
    """

    number: Annotated[int, Field(ge=1, le=100_000)]
    direction: Direction
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    ranges: dict[str, dict[str, Any]]
    study_file: dict[str, Any] = {}
    parent: Annotated[int, Field(ge=1)] | None = None
    rule: dict[str, Any] = {}
    trials_used: list[int] = []
    data_fingerprint: str = ""
    data_sizes: dict[str, Annotated[int, Field(ge=0)]] = {}
    versions: dict[str, str] = {}
    imported: dict[str, Any] = {}
    trials: Annotated[int, Field(ge=0)] | None = None
    series: list[Literal["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]] = []

    def new_stage(self, search: str) -> NewStage:
        """The stage, to be made under a search's name."""
        return NewStage(
            search=search,
            number=self.number,
            direction=self.direction,
            seed=self.seed,
            space=checked_space(space_from_dict(self.ranges)),
            study_file=self.study_file | ({"name": search} if self.study_file else {}),
            parent=self.parent,
            rule=self.rule,
            trials_used=tuple(self.trials_used),
            fingerprint=self.data_fingerprint,
            sizes=self.data_sizes,
            versions=self.versions,
            imported=self.imported,
        )


class Header(_Model):
    """The header of an export.

    Args:
        hpsearch_export: `LAYOUT`.
        search: The search's name.
        exported: When, UTC, ISO 8601.
        version: Of the hpsearch that wrote it.
        stages: By number.
        columns: What the columns mean, by table and heading.
        files: Of CSV files, sha256 by table: the tables lie beside the header there.
    """

    hpsearch_export: int
    search: str
    exported: str = ""
    version: str = ""
    stages: Annotated[list[StageHeader], Field(min_length=1)]
    columns: dict[str, dict[str, str]] = {}
    files: dict[str, str] = {}

    def new_stages(self, name: str | None = None) -> list[NewStage]:
        """The stages that it describes, under the search's name or another."""
        return [stage.new_stage(check_name(name or self.search)) for stage in self.stages]


def header_of(
    stages: Sequence[NewStage],
    counts: Mapping[int, int],
    series: Mapping[int, Sequence[str]],
    *,
    exported: str,
    version: str,
) -> Header:
    """The header of an export.

    Args:
        stages: The search's stages: those that are exported, and their ancestors.
        counts: How many trials of each exported one are, by number.
        series: Which learning curves each keeps, likewise.
        exported: When, UTC, ISO 8601.
        version: Of hpsearch.
    """
    whole = [stage for stage in stages if stage.number in counts]
    return Header(
        hpsearch_export=LAYOUT,
        search=stages[0].search,
        exported=exported,
        version=version,
        stages=[
            StageHeader(
                number=stage.number,
                direction=stage.direction,
                seed=stage.seed,
                ranges=space_to_dict(stage.space),
                study_file=dict(stage.study_file),
                parent=stage.parent,
                rule=dict(stage.rule),
                trials_used=list(stage.trials_used),
                data_fingerprint=stage.fingerprint,
                data_sizes=dict(stage.sizes),
                versions=dict(stage.versions),
                imported=dict(stage.imported),
                trials=counts.get(stage.number),
                series=[name for name in SERIES if name in series.get(stage.number, ())],  # type: ignore[misc]
            )
            for stage in stages
        ],
        columns={"trials": dictionary(trial_columns(whole)), "curves": dictionary(CURVES)},
    )


def parse_header(text: str | bytes | Mapping[str, Any], *, source: str) -> Header:
    """A header from its JSON.

    Args:
        text: The JSON, or what it holds.
        source: The file, for messages.

    Raises:
        BadInput: It is none, is damaged, or its ranges make no sense; the message is one line.
    """
    try:
        plain = text if isinstance(text, Mapping) else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{source} is damaged: its header is no JSON") from error
    layout = plain.get(KEY) if isinstance(plain, Mapping) else None
    if not isinstance(layout, int):
        raise BadInput(f"{source} is no export of hpsearch: it has no key {KEY!r}")
    if layout != LAYOUT:
        raise BadInput(f"{source} has the layout {layout}, and this hpsearch reads {LAYOUT}; a newer version wrote it")
    try:
        header = Header.model_validate(plain)
        _check_stages(header)
        return header
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{source} is damaged: {where}: {first['msg'].lower()}") from error
    except (HpsearchError, TypeError, OverflowError, RecursionError) as error:
        raise BadInput(f"{source} is damaged: {error}") from error


def _check_stages(header: Header) -> None:
    numbers = [stage.number for stage in header.stages]
    if numbers != sorted(set(numbers)):
        raise BadInput("its stages are not in order")
    if all(stage.trials is None for stage in header.stages):
        raise BadInput("it has trials of no stage")
    for stage in header.new_stages():
        for section in ("data", "network", "training", "objective", "pruning", "trials", "space"):
            if not isinstance(stage.study_file.get(section, {}), Mapping):
                raise BadInput(f"the section {section} of its study file is no table")


def checked_space(space: dict[str, Parameter]) -> dict[str, Parameter]:
    """A space whose parameters may have columns of their own.

    Raises:
        BadInput: There is none, or a name has characters that no table shows, or is that of another column.
    """
    if not space:
        raise BadInput("there is no hyperparameter")
    ours = {column.name for column in (*TRIALS, *CURVES)}
    for name in space:
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise BadInput(f"{name[:40]!r} is no name for a hyperparameter; give it 1 to {_LONGEST_NAME} characters")
        if name in ours:
            raise BadInput(
                f"a hyperparameter has the name {name!r}, which is that of another column; rename it, or leave it out"
            )
    return space


def column_of(name: str) -> str:
    """The heading of a hyperparameter's column."""
    return f"{PARAMS}{name}"
