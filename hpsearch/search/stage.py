"""Stages and their lineage: finding them, and beginning the first."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.commands import Commands, command_line
from hpsearch.errors import BadInput, BadStudyFile, NotEnoughTrials, StageConflict, UnknownSearch, nearest
from hpsearch.records import rank_key
from hpsearch.seeds import stage_seed
from hpsearch.space import space_to_dict
from hpsearch.store import NewStage, Store
from hpsearch.store.leases import version_of
from hpsearch.study_file import StudyFile, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.objectives.base import Data
    from hpsearch.records import Stage
    from hpsearch.store import Store
    from hpsearch.store.queries import Columns
    from hpsearch.study_file import StudyFile


def versions() -> dict[str, str]:
    """The versions that a stage's results depend on."""
    return {package: version_of(package) for package in ("hpsearch", "numpy", "optuna")}


def stages_of(store: Store, search: str | None) -> list[Stage]:
    """The stages of the search that is meant; without a name, of the only one there is.

    Args:
        store: The study database.
        search: Its name, or None.

    Raises:
        UnknownSearch: No such search, or none named where there are several.
    """
    every = store.stages()
    known = sorted({stage.search for stage in every})
    if search is None:
        if not known:
            begin_one = command_line("start", None, store.where)
            raise UnknownSearch(f"no search in {store.where} yet; `{begin_one}` begins one")
        if len(known) > 1:
            raise UnknownSearch(f"{store.where} holds several searches; name one of: {', '.join(known)}")
        search = known[0]
    if search not in known:
        raise UnknownSearch(f"no search {search!r} in {store.where}{nearest(search, known)}")
    return [stage for stage in every if stage.search == search]


def commands_for(store: Store, search: str) -> Commands:
    """What renders commands over a search in this database."""
    return Commands(search, store.where, named=len({stage.search for stage in store.stages()}) > 1)


def unscored(store: Store, search: str, what: str) -> NotEnoughTrials:
    """What to say where no trial of a search or stage has a score."""
    return NotEnoughTrials(f"{what} has no trial with a score yet; run `{commands_for(store, search)('start')}` first")


def pick(stages: list[Stage], number: int | None) -> Stage:
    """One stage of a search, by number or the latest.

    Raises:
        UnknownSearch: There is no stage of that number.
    """
    if number is None:
        return stages[-1]
    for stage in stages:
        if stage.number == number:
            return stage
    known = ", ".join(str(stage.number) for stage in stages)
    raise UnknownSearch(f"{stages[0].search} has no stage {number}; known: {known}")


def known_confirmation(store: Store, stage: Stage) -> Stage | None:
    """The confirmation of a stage; None where there is none."""
    return next((found for found in store.confirmations(stage.search) if found.number == stage.number), None)


def confirmation_of(store: Store, stage: Stage) -> Stage:
    """The confirmation of a stage.

    Raises:
        UnknownSearch: There is none.
    """
    found = known_confirmation(store, stage)
    if found is not None:
        return found
    confirm = commands_for(store, stage.search)("confirm", "--stage", str(stage.number))
    raise UnknownSearch(f"{stage.name} has not been confirmed; `{confirm}` does it")


def begin(
    store: Store,
    study: StudyFile,
    *,
    fingerprint: str,
    sizes: Mapping[str, int] | None = None,
    number: int | None = None,
    seed: int | None = None,
    pruner: str | None = None,
) -> tuple[Stage, bool]:
    """The stage to run: the search's latest (or the one asked for), or a new stage 1.

    Args:
        store: The study database.
        study: The study file.
        fingerprint: sha256 of the training and validation arrays; a new stage keeps it.
        sizes: How many examples are for ``train`` and for ``validation``; likewise.
        number: A stage's number, or None for the latest.
        seed: The seed asked for on the command line, or None for the study file's.
        pruner: The rule of pruning asked for there, or None likewise.

    Returns:
        The stage, and whether it was made just now.

    Raises:
        UnknownSearch: There is no stage of that number.
        StageConflict: The stage was begun with another seed or rule of pruning.
    """
    stages = store.stages(study.name)
    if stages:
        stage = pick(stages, number)
        if seed is not None:
            _check_seed(stages[0], seed)
        return (stage if pruner is None else _with_pruner(store, stage, pruner)), False
    if number not in (None, 1):
        raise UnknownSearch(f"{study.name} has no stage {number}: it has not been started")
    new = NewStage(
        search=study.name,
        number=1,
        direction=study.direction,
        seed=stage_seed(study.trials.seed if seed is None else seed, 1),
        space=study.space,
        study_file=(study if pruner is None else study.with_pruning(pruner)).to_dict(),
        fingerprint=fingerprint,
        sizes=sizes or {},
        versions=versions(),
    )
    stage = store.create_stage(new)
    # Another start may have been first; then the stage is its.
    if seed is not None:
        _check_seed(stage, seed)
    if pruner is not None:
        stage = _with_pruner(store, stage, pruner)
    return stage, (stage.seed, stage.study_file) == (new.seed, new.study_file)


def _check_seed(stage: Stage, seed: int) -> None:
    if stage.seed != seed:
        raise StageConflict(
            f"{stage.name} was begun with seed {stage.seed}, not {seed}; "
            "give the search another name or another --storage"
        )


def _with_pruner(store: Store, stage: Stage, pruner: str) -> Stage:
    """The stage, with that rule of pruning: its own, or a new one as long as it has no trials."""
    rule = stage.pruning_rule
    if pruner == rule or not stage.trainable:  # one that was run elsewhere is adopted, or refused, as a whole
        return stage
    if store.counts(stage).rows:
        raise StageConflict(
            f"{stage.name} was begun with --pruner {rule}, not {pruner}, and trials under two rules cannot be "
            "compared; leave --pruner out, or give the search another name or another --storage"
        )
    study = parse(stage.study_file, source=f"the study file kept in {stage.name}").with_pruning(pruner)
    return store.create_stage(replace(stage, study_file=study.to_dict()), replace=True)


def check_fingerprint(stage: Stage, fingerprint: str) -> None:
    """Make sure that a stage goes on with the data that it was begun with.

    Raises:
        StageConflict: The data are others.
    """
    if stage.fingerprint != fingerprint:
        raise StageConflict(
            f"the data of {stage.name} have changed (sha256 {stage.fingerprint[:12]}, now {fingerprint[:12]}); "
            "bring the old data back, or give the search another name"
        )


def other_version(store: Store, stage: Stage) -> str | None:
    """What to say where a stage's trials were begun with another version of hpsearch; None where they were not."""
    now, then = versions()["hpsearch"], stage.versions.get("hpsearch")
    if then in (None, now) or not store.counts(stage).rows:
        return None
    return (
        f"{stage.name} was begun with hpsearch {then}, and this is {now}: its new trials may come out otherwise than "
        "that version's. To compare like with like, begin another search or stage"
    )


def latest_with_trials(store: Store, stages: list[Stage]) -> Stage:
    """The last stage that has any trial; the first one where none has."""
    for stage in reversed(stages):
        if store.counts(stage).rows:
            return stage
    return stages[0]


def best_of(store: Store, stages: list[Stage], *, top: int = 1) -> tuple[Stage, Columns] | None:
    """The stage with the best trial of all these, and its best trials' columns; None before any has finished.

    Args:
        store: The study database.
        stages: Stages of one search.
        top: How many of its trials to give.
    """
    return best_among([(stage, store.columns(stage, top=top)) for stage in stages])


def best_among(found: Sequence[tuple[Stage, Columns]]) -> tuple[Stage, Columns] | None:
    """Of several stages' best trials, those of the stage with the best one; None where there is no trial.

    Ties between stages go to the lower validation loss, then to the earlier stage.

    Args:
        found: Stages with the columns of their best trials, best first.
    """
    scored = [(stage, columns) for stage, columns in found if columns["number"]]

    def key(item: tuple[Stage, Columns]) -> tuple[float, float, int]:
        stage, columns = item
        return rank_key(stage.direction, columns["score"][0], columns["validation_loss"][0], stage.number)

    return min(scored, key=key, default=None)


_NAME = re.compile(r"([^/]+)/(stage|confirm)-(\d{1,6})")


def resolve_stage(
    given: str | None, number: int | None = None, *, confirmation: bool = False
) -> tuple[str | None, int | None]:
    """The search and the number of the stage that are meant: ``mnist/stage-02`` is stage 2 of ``mnist``.

    Args:
        given: The name of a search, of a stage of it, or the path of a study file; None for the only search.
        number: The stage's number where that is given too; None for what the command takes by itself.
        confirmation: Whether ``mnist/confirm-02`` may stand for stage 2, which it confirms.

    Raises:
        BadInput: Two different stages are named.
        BadStudyFile: There is no such study file, or it cannot be used.
        UnknownSearch: The name of a confirmation where one makes no sense.
    """
    if given is not None and given.endswith(".toml"):
        from hpsearch.study_file import find

        given = find(given).name
    return resolve_study(given, number, confirmation=confirmation)


def resolve_study(
    given: str | None, number: int | None = None, *, confirmation: bool = False
) -> tuple[str | None, int | None]:
    """As `resolve_stage`, for a command that reads the study file: its path is left as it is."""
    named = _NAME.fullmatch(given or "")
    if named is None:
        return given, number
    search, kind, digits = named.groups()
    if kind == "confirm" and not confirmation:
        raise UnknownSearch(
            f"{given} is a confirmation: `confirm {given}` shows it, `narrow {search} --stage {int(digits)} "
            f"--from confirm` and `evaluate {search} --stage {int(digits)} --confirmed` go by it"
        )
    if number not in (None, int(digits)):
        raise BadInput(f"{given} with --stage {number}: these are two stages; leave one out")
    return search, int(digits)


def resolve_search(given: str | None) -> str | None:
    """The search that is meant, for what is about a whole search.

    Raises:
        BadInput: A stage was named.
        BadStudyFile: There is no such study file, or it cannot be used.
        UnknownSearch: The name of a confirmation.
    """
    search, number = resolve_stage(given)
    if number is not None:
        raise BadInput(f"{given} is one stage, and this is about a whole search: give {search}")
    return search


def no_study_file(stage: Stage) -> StageConflict:
    """What to say when a search that was run elsewhere is to be trained by no study file."""
    return StageConflict(
        f"{stage.search} was imported from {_origin(stage)} without a study file, so hpsearch cannot train its trials; "
        "narrow, status, trials and best work. To go on here, narrow it, write a study file of that name "
        f"(`hpsearch init {stage.search}`) that searches {', '.join(stage.space)}, and start that"
    )


def adopt(store: Store, stage: Stage, study: StudyFile, split: Data, *, pruner: str | None) -> Stage:
    """The stage to be trained by a study file: itself where it has one, or the same ranges with this one.

    Trials of others are never mixed with trials of ours: they saw other data. So only a stage without trials, which was
    narrowed from theirs, takes on a study file.

    Args:
        store: The study database.
        stage: The stage to be run.
        study: The study file of the search's name.
        split: Its data.
        pruner: The rule of pruning asked for on the command line, or None for the study file's.

    Raises:
        StageConflict: The stage has trials of others, or the study file searches something else.
    """
    if stage.trainable:
        return stage
    if store.counts(stage).rows:
        raise StageConflict(
            f"the trials of {stage.name} were run elsewhere ({_origin(stage)}), so none can be added to them here; "
            f"`hpsearch narrow {stage.search}` makes the next stage, which can be started"
        )
    if set(study.space) != set(stage.space):
        raise StageConflict(
            f"{stage.name} searches {', '.join(stage.space)}, and the study file {', '.join(study.space)}; they "
            "must be the same hyperparameters"
        )
    if study.direction != stage.direction:
        raise StageConflict(
            f"{stage.name} is to {stage.direction} its score, and the study file is to {study.direction} {study.metric}"
        )
    try:
        chosen = study if pruner is None else study.with_pruning(pruner)
        ranged = parse(chosen.to_dict() | {"space": space_to_dict(stage.space)}, source=f"the ranges of {stage.name}")
    except BadStudyFile as error:
        raise StageConflict(f"{stage.name} cannot be trained here: {error}") from error
    adopted = replace(
        stage,
        study_file=ranged.to_dict(),
        fingerprint=split.fingerprint,
        sizes=split.sizes,
        versions=versions(),
    )
    return store.create_stage(adopted, replace=True)


def _origin(stage: Stage) -> str:
    return str(stage.imported.get("from", "elsewhere"))
