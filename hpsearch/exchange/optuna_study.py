"""Studies of other Optuna databases, read through Optuna's public API; nothing is written there."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput, BadSpace, BadStorage, HpsearchError, nearest
from hpsearch.exchange.foreign import Foreign, metric_name
from hpsearch.exchange.ranges import union
from hpsearch.records import Direction
from hpsearch.space import Categorical, Float, Int, Parameter
from hpsearch.store.database import translated
from hpsearch.store.stages import RANGES
from hpsearch.store.urls import parse_url, show, sqlite_file

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial
    from sqlalchemy.engine import URL

_MOST_STEP = 2**31 - 1


def read(url: str, study_name: str | None, *, metric: str | None = None) -> Foreign:
    """A study as trials of others.

    Args:
        url: The storage, as Optuna takes it.
        study_name: The study; None for the only one there is.
        metric: What its value is to be called.

    Raises:
        BadStorage: It cannot be opened, or is of a schema that this Optuna does not know.
        BadInput: No such study, several objectives, or distributions that are none of ours.
    """
    import optuna

    where = parse_url(url)
    file = sqlite_file(where)
    if file is not None and not file.is_file():
        raise BadStorage(f"no database {file}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with translated(where, door=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_tables(where)
        # Neither tables nor a schema are made, or brought up to date, in a database that is only read.
        storage = optuna.storages.RDBStorage(url, skip_table_creation=True, skip_compatibility_check=True)
        try:
            _check_schema(storage, show(where))
            study = optuna.load_study(study_name=_named(storage, show(where), study_name), storage=storage)
            return _foreign(study, show(where) if file is None else file.name, metric)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _check_tables(url: URL) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(url)
    try:
        if not {"studies", "trials", "version_info"} <= set(sqlalchemy.inspect(engine).get_table_names()):
            raise BadStorage(f"{show(url)} holds no studies of Optuna's")
    finally:
        engine.dispose()


def _check_schema(storage: Any, where: str) -> None:
    try:
        current, head = storage.get_current_version(), storage.get_head_version()
    except Exception as error:  # alembic's and Optuna's own, several kinds
        raise BadStorage(f"the schema of {where} is none that Optuna knows") from error
    if current != head:
        raise BadStorage(
            f"the database {where} has the schema {current}, and this Optuna reads {head}; "
            "`optuna storage upgrade --storage URL` may bring it up to date"
        )


def _named(storage: Any, where: str, study_name: str | None) -> str:
    import optuna

    known = sorted(optuna.study.get_all_study_names(storage))
    if study_name is None:
        if len(known) == 1:
            return str(known[0])
        listed = ", ".join(known[:10])
        raise BadInput(
            f"{where} holds {len(known)} studies; name one with --study-name{': ' + listed if known else ''}"
        )
    if study_name not in known:
        raise BadInput(f"no study {study_name!r} in {where}{nearest(study_name, known)}")
    return study_name


def _foreign(study: Study, where: str, metric: str | None) -> Foreign:
    source = f"{study.study_name} in {where}"
    if len(study.directions) != 1:
        raise BadInput(f"{source} has {len(study.directions)} objectives, and hpsearch ranks trials by one")
    if RANGES in study.user_attrs:
        search = study.study_name.partition("/")[0]
        raise BadInput(
            f"{source} is a stage of hpsearch: bring its whole search with `hpsearch export {search} --storage ... "
            f"--out {search}.parquet`, and import that file"
        )
    trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    direction: Direction = "maximize" if study.direction.name == "MAXIMIZE" else "minimize"
    notes: list[str] = []
    ranges = _ranges(trials, notes, source)
    metrics = study.metric_names or ["score"]
    _check_steps(trials, source)
    return Foreign(
        source=source,
        name=study.study_name,
        kind="optuna study",
        metric=metric_name(metric or metrics[0], list(ranges)),
        direction=direction,
        states=[trial.state.name for trial in trials],
        scores=[trial.value for trial in trials],
        params={name: [trial.params.get(name) for trial in trials] for name in ranges},
        ranges=ranges,
        points=_points(trials),
        attributes=[(row, key, value) for row, trial in enumerate(trials) for key, value in trial.user_attrs.items()],
        started=[trial.datetime_start for trial in trials],
        finished=[trial.datetime_complete for trial in trials],
        notes=notes,
    )


def _check_steps(trials: Sequence[FrozenTrial], source: str) -> None:
    for trial in trials:
        if any(abs(step) > _MOST_STEP for step in trial.intermediate_values):
            raise BadInput(f"trial {trial.number} of {source} has an intermediate value at a step beyond all epochs")


def _points(trials: Sequence[FrozenTrial]) -> tuple[Any, Any, Any]:
    found = [
        (row, step, value)
        for row, trial in enumerate(trials)
        if trial.state.is_finished()
        for step, value in sorted(trial.intermediate_values.items())
    ]
    number, step, value = zip(*found, strict=True) if found else ((), (), ())
    return np.array(number, np.int64), np.array(step, np.int64), np.array(value, float)


def _ranges(trials: Sequence[FrozenTrial], notes: list[str], source: str) -> dict[str, Parameter]:
    drawn: dict[str, dict[Any, None]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            drawn.setdefault(name, {})[distribution] = None
    found: dict[str, Parameter] = {}
    for name, distributions in drawn.items():
        try:
            first, *others = [_parameter(name, distribution, notes) for distribution in distributions]
            for other in others:
                first = union(first, other)
        except HpsearchError as error:
            raise BadInput(f"{name} of {source}: {error}") from error
        if others:
            notes.append(f"{name} was drawn from {len(distributions)} different ranges; they are taken together")
        found[name] = first
    return found


def _parameter(name: str, distribution: BaseDistribution, notes: list[str]) -> Parameter:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match distribution:
        case CategoricalDistribution():
            odd = [choice for choice in distribution.choices if not isinstance(choice, str | bool | int | float)]
            if odd:
                raise BadSpace(f"the choice {odd[0]!r} is no string, number or boolean")
            return Categorical(tuple(distribution.choices))  # type: ignore[arg-type]
        case FloatDistribution() | IntDistribution() if distribution.low == distribution.high:
            return Categorical((distribution.low,))
        case FloatDistribution():
            if distribution.step is not None:
                note = f"{name} was drawn in steps of {distribution.step:g}; its range is taken without them"
                notes += [] if note in notes else [note]
            return Float(distribution.low, distribution.high, distribution.log)
        case IntDistribution():
            return Int(distribution.low, distribution.high, distribution.log, distribution.step)
    raise BadSpace(f"a {type(distribution).__name__} is no range that hpsearch knows")
