"""Studies of other Optuna databases, read through Optuna's public API; nothing is written there."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial
from sqlalchemy.engine import URL

from hpsearch.errors import BadInput, BadSpace, BadStorage, HpsearchError, nearest
from hpsearch.exchange.foreign import ForeignTrials, metric_name, union
from hpsearch.records import Action, Argument, PastTrials, Sentence
from hpsearch.space import Categorical, Float, Int, Parameter
from hpsearch.store.engine import parse_url, show, sqlite_file, translated
from hpsearch.store.schema import RANGES

_MAX_STEP = 2**31 - 1


def read(url: str, study_name: str | None, *, metric: str | None = None) -> ForeignTrials:
    """Read a study (None: the only one of the storage) as trials that were run elsewhere.

    Raises:
        BadStorage: It cannot be opened, or is of a schema that this Optuna does not know.
        BadInput: No such study, several objectives, or distributions that are none of ours.
    """
    where = parse_url(url)
    file = sqlite_file(where)
    if file is not None and not file.is_file():
        raise BadStorage(f"no database {file}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with translated(where, door=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _check_tables(where)
        try:
            # No tables are made, or brought up to date, in a database that is only read.
            storage = optuna.storages.RDBStorage(url, skip_table_creation=True)
        except RuntimeError as error:
            raise BadStorage(f"{show(where)}: {' '.join(str(error).split())}") from error
        try:
            study = optuna.load_study(study_name=_named(storage, show(where), study_name), storage=storage)
            return _foreign_trials(study, url, show(where) if file is None else file.name, metric)
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _check_tables(url: URL) -> None:
    engine = sqlalchemy.create_engine(url)
    tables = sqlalchemy.inspect(engine).get_table_names()
    engine.dispose()
    if not {"studies", "trials", "version_info"} <= set(tables):
        raise BadStorage(f"{show(url)} holds no studies of Optuna's")


def _named(storage: Any, where: str, study_name: str | None) -> str:
    known = sorted(optuna.study.get_all_study_names(storage))
    if study_name is None:
        if len(known) == 1:
            return str(known[0])
        listed = f": {', '.join(known[:10])}" if known else ""
        raise BadInput(f"{where} holds {len(known)} studies; name one with {{}}{listed}", Argument("study_name"))
    if study_name not in known:
        raise BadInput(f"no study {study_name!r} in {where}{nearest(study_name, known)}")
    return study_name


def _foreign_trials(study: optuna.Study, url: str, where: str, metric: str | None) -> ForeignTrials:
    source = f"{study.study_name} in {where}"
    if len(study.directions) != 1:
        raise BadInput(f"{source} has {len(study.directions)} objectives, and hpsearch ranks trials by one")
    if RANGES in study.user_attrs:
        search = study.study_name.partition("/")[0]
        raise BadInput(
            f"{source} is a stage of hpsearch: export its whole search with `{{}}`, and import that file",
            Action("export", {"search": search, "storage": url, "out": f"{search}.parquet"}),
        )
    trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    points = [
        (row, step, value)
        for row, trial in enumerate(trials)
        if trial.state.is_finished()
        for step, value in sorted(trial.intermediate_values.items())
    ]
    number, step, value = np.array(points, dtype=float).reshape(-1, 3).T
    if (np.abs(step) > _MAX_STEP).any():
        raise BadInput(f"{source} has an intermediate value at a step beyond all epochs")
    ranges, notes = _ranges(trials, source)
    return ForeignTrials(
        source=source,
        name=study.study_name,
        kind="optuna study",
        metric=metric_name(metric or (study.metric_names or ["score"])[0], list(ranges)),
        direction="maximize" if study.direction.name == "MAXIMIZE" else "minimize",
        trials=PastTrials(
            states=[trial.state.name for trial in trials],
            scores=[trial.value for trial in trials],
            started=[trial.datetime_start for trial in trials],
            finished=[trial.datetime_complete for trial in trials],
            params={name: [trial.params.get(name) for trial in trials] for name in ranges},
            points=(number.astype(np.int64), step.astype(np.int64), value),
            attributes=[
                (row, *attribute) for row, trial in enumerate(trials) for attribute in trial.user_attrs.items()
            ],
        ),
        ranges=ranges,
        notes=notes,
    )


def _ranges(trials: Sequence[FrozenTrial], source: str) -> tuple[dict[str, Parameter], list[Sentence]]:
    """Return the range of each hyperparameter, and warnings."""
    distributions: dict[str, dict[BaseDistribution, None]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            distributions.setdefault(name, {})[distribution] = None
    ranges: dict[str, Parameter] = {}
    notes = []
    for name, different in distributions.items():
        try:
            ranges[name] = functools.reduce(union, map(_parameter, different))
        except HpsearchError as error:
            raise BadInput(f"{name} of {source}: {error}") from error
        steps = {d.step for d in different if isinstance(d, FloatDistribution) and d.step is not None}
        notes += [f"{name} was sampled in steps of {step:g}; its range is taken without them" for step in sorted(steps)]
        if len(different) > 1:
            notes.append(f"{name} was sampled from {len(different)} different ranges; they are taken together")
    return ranges, list(map(Sentence, notes))


def _parameter(distribution: BaseDistribution) -> Parameter:
    match distribution:
        case CategoricalDistribution():
            return Categorical(tuple(distribution.choices))  # type: ignore[arg-type]  # it checks them itself
        case FloatDistribution() | IntDistribution() if distribution.low == distribution.high:
            return Categorical((distribution.low,))
        case FloatDistribution():
            return Float(distribution.low, distribution.high, distribution.log)
        case IntDistribution():
            return Int(distribution.low, distribution.high, distribution.log, distribution.step)
    raise BadSpace(f"a {type(distribution).__name__} is no range that hpsearch knows")
