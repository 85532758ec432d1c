"""Studies of other Optuna databases, read through Optuna's public API; nothing is written there."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import numpy as np
import optuna
import sqlalchemy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
)
from optuna.trial import FrozenTrial
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from hpsearch.distributions import MAX_INT, numbers_of
from hpsearch.errors import BadInput, BadStorage, HpsearchError, nearest
from hpsearch.exchange.foreign import ForeignTrials, metric_name
from hpsearch.exchange.layout import is_plain
from hpsearch.exchange.tools import choice, utc
from hpsearch.files import first_line
from hpsearch.records import Action, Argument, PastTrials, Sentence
from hpsearch.space import Categorical, Float, Parameter, Value, hull
from hpsearch.store.engine import as_permitted, parse_url, show, sqlite_file, translated
from hpsearch.store.schema import RANGES
from hpsearch.text import listed

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
        # Nothing is written there, be it a log beside the file.
        reading = where if file is None else as_permitted(where, write=False)
        if file is not None and reading == where:
            reading = where.set(database=f"file:{quote(str(file))}", query={"mode": "ro", "uri": "true"})
        version = _version(reading, show(where))
        try:
            # No tables are made, or brought up to date, in a database that is only read.
            storage = optuna.storages.RDBStorage(
                reading.render_as_string(hide_password=False), skip_table_creation=True
            )
        except RuntimeError as error:
            raise BadStorage(f"{show(where)}: {' '.join(str(error).split())}") from error
        try:
            study = optuna.load_study(study_name=_named(storage, show(where), study_name), storage=storage)
            source = show(where) if file is None else file.name
            return _foreign_trials(study, url, source, metric, local=version.partition(".")[0] in ("2", "3", "4"))
        except HpsearchError:
            raise
        except Exception as error:  # what Optuna raises for values that it did not write is of many kinds
            if isinstance(error.__cause__ or error, DBAPIError):
                raise
            raise BadInput(f"{show(where)} holds what Optuna cannot read: {first_line(error)}") from error
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _version(url: URL, where: str) -> str:
    """Return the version of Optuna that made a database; BadStorage where none did."""
    engine = sqlalchemy.create_engine(url)
    try:
        if not {"studies", "trials", "version_info"} <= set(sqlalchemy.inspect(engine).get_table_names()):
            raise BadStorage(f"{where} holds no studies of Optuna's")
        with engine.connect() as connection:
            twice = sqlalchemy.text("SELECT 1 FROM trials GROUP BY study_id, number HAVING count(*) > 1")
            if connection.execute(twice).first():  # Optuna would read one of them
                raise BadStorage(f"{where} is damaged: a study has two trials of one number")
            return str(connection.execute(sqlalchemy.text("SELECT library_version FROM version_info")).scalar())
    finally:
        engine.dispose()


def _named(storage: Any, where: str, study_name: str | None) -> str:
    known = sorted(optuna.study.get_all_study_names(storage))
    if study_name is None:
        if len(known) == 1:
            return str(known[0])
        names = f": {listed(known, 10)}" if known else ""
        raise BadInput(f"{where} holds {len(known)} studies; name one with {{}}{names}", Argument("study_name"))
    if study_name not in known:
        raise BadInput(f"no study {study_name!r} in {where}{nearest(study_name, known)}")
    return study_name


def _foreign_trials(study: optuna.Study, url: str, where: str, metric: str | None, *, local: bool) -> ForeignTrials:
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
    if not (np.abs(step) <= _MAX_STEP).all():
        raise BadInput(f"{source} has an intermediate value at a step beyond all epochs")
    ranges, notes, of_ranges = _ranges(trials)

    def time(of: datetime | None) -> datetime | None:
        # Optuna 5 takes what is stored for UTC, and gives it as local time; before it, local time was stored.
        return utc(utc(of)) if local else utc(of)

    return ForeignTrials(
        source=source,
        name=study.study_name,
        kind="optuna study",
        metric=metric_name(metric or (study.metric_names or ["score"])[0], list(ranges)),
        direction="maximize" if study.direction.name == "MAXIMIZE" else "minimize",
        trials=PastTrials(
            states=[trial.state.name for trial in trials],
            scores=[None if trial.value is None else float(trial.value) for trial in trials],
            started=[time(trial.datetime_start) for trial in trials],
            finished=[time(trial.datetime_complete) for trial in trials],
            params={
                name: [_value(ranges[name], trial.params.get(name), name in trial.params) for trial in trials]
                for name in ranges
            },
            points=(number.astype(np.int64), step.astype(np.int64), value),
            attributes=[
                (row, key, value)
                for row, trial in enumerate(trials)
                for key, value in trial.user_attrs.items()
                if is_plain({key: value})
            ],
        ),
        ranges=ranges,
        notes=notes,
        of_ranges=of_ranges,
    )


def _ranges(trials: Sequence[FrozenTrial]) -> tuple[dict[str, Parameter], list[Sentence], dict[str, list[str]]]:
    """Return the range of each hyperparameter that has one of ours, warnings, and more on each of these ranges."""
    different: dict[str, dict[str, BaseDistribution]] = {}  # by their JSON: those with a list among the choices no hash
    for trial in trials:
        for name, distribution in trial.distributions.items():
            different.setdefault(name, {})[distribution_to_json(distribution)] = distribution
    ranges: dict[str, Parameter] = {}
    of_ranges: dict[str, list[str]] = {}
    left_out = []
    for name, of_trials in different.items():
        distributions = list(of_trials.values())
        # A None among the values of a table is a missing one, and here trials may lack the parameter.
        lacking = any(trial.params and name not in trial.params for trial in trials)
        known = functools.partial(_choice, none="None" if lacking else None)
        try:
            ranges[name] = functools.reduce(hull, (_parameter(distribution, known) for distribution in distributions))
        except HpsearchError as error:
            left_out.append(Sentence(f"{name} is left out: {error}"))
            continue
        notes = of_ranges[name] = []
        for distribution in distributions:
            if isinstance(distribution, CategoricalDistribution):
                odd = [shown for of in distribution.choices if type(shown := known(of)) is not type(of)]
                notes += [f"{name}: the choices {', '.join(map(str, odd[:5]))} are taken as texts"] if odd else []
        steps = {d.step for d in distributions if isinstance(d, FloatDistribution) and d.step is not None}
        if steps and getattr(ranges[name], "step", None) is None:
            notes.append(f"{name} was sampled in different steps; its range is taken without them")
        if len(distributions) > 1:
            notes.append(f"{name} was sampled from {len(distributions)} different ranges; they are taken together")
    return ranges, left_out, of_ranges


def _value(parameter: Parameter, value: Any, there: bool) -> Value | None:
    if not there:
        return None
    if isinstance(parameter, Categorical):
        return _choice(value, none=None if None in parameter.choices else "None")
    most = 2.0**1023 if isinstance(parameter, Float) else MAX_INT
    if type(value) not in (int, float) or not abs(value) <= most:
        raise ValueError(f"{repr(value)[:40]} is no value of a number")
    return float(value) if isinstance(parameter, Float) else int(value)


def _choice(plain: Any, *, none: str | None) -> Value:
    return none if plain is None else choice(plain)


def _parameter(distribution: BaseDistribution, known: Callable[[Any], Value]) -> Parameter:
    if isinstance(distribution, CategoricalDistribution):
        return Categorical(tuple(map(known, distribution.choices)))
    return numbers_of(distribution)
