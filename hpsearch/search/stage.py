"""Stages: resolving their names, finding them, their lineage, and beginning them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadArgument, BadInput, BadStudyFile, NotEnoughTrials, StageConflict, UnknownSearch, nearest
from hpsearch.objectives import kinds
from hpsearch.records import Action, Argument, NewStage, Stage, rank_key
from hpsearch.samplers import SAMPLERS
from hpsearch.space import present, space_to_dict
from hpsearch.store.leases import version_of
from hpsearch.study_file import StudyFile, find, parse
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hpsearch.objectives.base import Data
    from hpsearch.space import Value
    from hpsearch.store import Store
    from hpsearch.store.queries import Columns

_NAME = re.compile(r"([^/]+)/(stage|confirm)-(\d{1,6})")
_TRIAL = re.compile(r"([^/]+/stage-\d{1,6})/(.*)")
# The least and most allowed; ``top`` and ``repeats`` are a confirmation's, whose plan is one attribute.
_ALLOWED = {"jobs": (1, 1024), "stages": (1, 1000), "top": (1, 200), "repeats": (2, 1000), "batch": (1, 1000)}


def check_counts(**counts: int | None) -> None:
    """Check that arguments which count something are in their ranges; None: not given."""
    for name, value in counts.items():
        least, most = _ALLOWED.get(name, (1, 10**9))
        if value is not None and not least <= value <= most:
            raise BadArgument(name, value, f"give a number from {least} to {most:,}")


def check_seed(seed: int | None) -> None:
    """Check that a seed is a whole number of at most 63 bits."""
    if seed is not None and not 0 <= seed < 2**63:
        raise BadArgument("seed", seed, "give a whole number from 0")


def resolve_stage(
    name: str | None, number: int | None = None, *, confirmation: bool = False, keep_path: bool = False
) -> tuple[str | None, int | None]:
    """Return the search and the number of the stage that a name stands for: ``mnist/stage-02`` is stage 2 of ``mnist``.

    A name is that of a search or a stage, or the path of a study file, which stays a path with ``keep_path``; None is
    the only search. With ``confirmation`` ``mnist/confirm-02`` may stand for stage 2, which it confirms.

    Raises:
        BadInput: Two different stages are named.
        BadStudyFile: There is no such study file, or it cannot be used.
        UnknownSearch: The name of a confirmation where only a stage will do.
    """
    if name is not None and name.endswith(".toml") and not keep_path:
        name = find(name).name
    match = _NAME.fullmatch(name or "")
    if match is None:
        return name, number
    search, kind, digits = match.groups()
    if kind == "confirm" and not confirmation:
        raise UnknownSearch(
            f"{name} is a confirmation; for it: `{{}}`, which shows it, and `{{}}`",
            Action("confirm", {"search": name}),
            Action("narrow", {"search": search, "stage": int(digits), "source": "confirm"}),
        )
    if number not in (None, int(digits)):
        raise BadInput(f"{name} and {{}} name different stages; give one", Argument("stage", number))
    return search, int(digits)


def resolve_trial(name: str | None) -> tuple[str | None, int | None]:
    """Return the stage and the number of a trial's name, ``mnist/stage-02/7``; of another name itself and None."""
    match = _TRIAL.fullmatch(name or "")
    if match is None:
        return name, None
    if not re.fullmatch(r"\d{1,9}", match[2]):
        raise BadInput(f"{name}: a trial is named by its number, such as {match[1]}/7")
    return match[1], int(match[2])


def is_confirmation(name: str | None) -> bool:
    """Return whether a name is that of a confirmation: ``mnist/confirm-02``."""
    match = _NAME.fullmatch(name or "")
    return match is not None and match[2] == "confirm"


def resolve_search(name: str | None) -> str | None:
    """Return the search that a name stands for; the name of a stage is a BadInput, as a whole search is needed."""
    search, number = resolve_stage(name)
    if number is not None:
        raise BadInput(f"{name} is a stage, and this command takes a whole search: give {search}")
    return search


def versions(study_file: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return the versions that the results of a stage with this study file depend on."""
    plain = study_file or {}
    libraries = [] if plain.get("trials", {}).get("sampler", SAMPLERS[0]) == SAMPLERS[0] else ["scipy"]
    libraries += ["scikit-learn"] if "estimator" in plain.get("objective", {}) else []
    return {package: version_of(package) for package in ("hpsearch", "numpy", "optuna", *libraries)}


def stages_of(store: Store, search: str | None) -> list[Stage]:
    """Return the stages of a search; without a name, of the only one there is. UnknownSearch if there is none."""
    if search is not None and (stages := store.stages(search)):
        return stages
    known = store.searches()
    if search is None:
        if not known:
            raise UnknownSearch(
                f"no search in {store.where} yet; `{{}}` begins one", Action("start", {"storage": store.where})
            )
        if len(known) > 1:
            raise UnknownSearch(f"{store.where} holds several searches; name one of: {', '.join(known)}")
        return store.stages(known[0])
    raise UnknownSearch(f"no search {search!r} in {store.where}{nearest(search, known)}")


def pick(stages: Sequence[Stage], number: int | None) -> Stage:
    """Return one stage of a search, by number or the latest. UnknownSearch if there is none of that number."""
    if number is None:
        return stages[-1]
    for stage in stages:
        if stage.number == number:
            return stage
    known = ", ".join(str(stage.number) for stage in stages)
    raise UnknownSearch(f"{stages[0].search} has no stage {number}; known: {known}")


def actions_for(store: Store, search: str) -> Callable[..., Action]:
    """Return a function of a kind and its arguments that makes an action over a search in this database."""
    alone = len(store.searches()) <= 1

    def action(kind: str, /, **arguments: Any) -> Action:
        # Without a name `start` and `train` take a study file; the others the only search there is.
        name = None if alone and kind not in ("start", "train") else search
        return Action(kind, {"search": name, **arguments, "storage": store.where})

    return action


def unscored(store: Store, search: str, name: str) -> NotEnoughTrials:
    """Return the error for a search or stage of which no trial has a score."""
    start = actions_for(store, search)("start")
    return NotEnoughTrials(f"{name} has no trial with a score yet; run `{{}}` first", start)


def made_from(parent: Stage, **different: Any) -> NewStage:
    """Return a new stage with the study file and the data of another one, which is its parent."""
    same: dict[str, Any] = {
        "search": parent.search,
        "direction": parent.direction,
        "study_file": parent.study_file,
        "parent": parent.number,
        "fingerprint": parent.fingerprint,
        "sizes": parent.sizes,
        "preprocessing": parent.preprocessing,
        "versions": versions(parent.study_file),
    }
    return NewStage(**same | different)


def known_confirmation(store: Store, stage: Stage) -> Stage | None:
    """Return the confirmation of a stage; None where there is none."""
    return next((of for of in store.confirmations(stage.search) if of.number == stage.number), None)


def confirmation_of(store: Store, stage: Stage) -> Stage:
    """Return the confirmation of a stage. UnknownSearch if there is none."""
    confirmation = known_confirmation(store, stage)
    if confirmation is None:
        confirm = actions_for(store, stage.search)("confirm", stage=stage.number)
        raise UnknownSearch(f"{stage.name} has not been confirmed; `{{}}` does it", confirm)
    return confirmation


def latest_with_trials(store: Store, stages: Sequence[Stage]) -> Stage:
    """Return the last stage that has any trial; the first one where none has."""
    return next((stage for stage in reversed(stages) if store.counts(stage).rows), stages[0])


def params_at(stage: Stage, columns: Columns, at: int) -> dict[str, Value]:
    """Return the values that a trial has, from the row of a stage's columns."""
    return present(stage.space, {name: columns[f"param:{name}"][at] for name in stage.space})


def lacking(stage: Stage, params: Mapping[str, Value]) -> list[str]:
    """Return the parameters of which a trial should have a value and has none."""
    conditional = kinds.may_lack(stage)
    return [name for name in stage.space if name not in params and name not in conditional]


def best_of(store: Store, stages: Sequence[Stage]) -> tuple[Stage, Columns] | None:
    """Return the stage with the best trial of all these, and that trial's columns; None before any is complete."""
    return best_among([(stage, store.columns(stage, top=1)) for stage in stages])


def best_among(candidates: Sequence[tuple[Stage, Columns]]) -> tuple[Stage, Columns] | None:
    """Return the stage with the best trial and its columns, which have best trials first; None where there is no trial.

    Ties between stages go to the lower validation loss, then to the earlier stage. Where scores do not compare
    (`compares`), those of trials run here go first, and of these the ones of trials that were trained longest.
    """

    def key(item: tuple[Stage, Columns]) -> tuple[float, float, int]:
        stage, columns = item
        return rank_key(stage.direction, columns["score"][0], columns["validation_loss"][0], stage.number)

    scored = [item for item in candidates if item[1]["number"]]
    scored = [item for item in scored if not kinds.foreign(item[0])] or scored
    longest = max((kinds.trained_epochs(stage) or 0 for stage, _ in scored), default=0)
    return min([item for item in scored if (kinds.trained_epochs(item[0]) or 0) == longest], key=key, default=None)


def compares(stage: Stage, other: Stage) -> bool:
    """Return whether the scores of two stages of a search compare.

    Those of trials that were run elsewhere, on other data, do not compare with those of trials run here, nor do those
    of trials that were trained for another number of epochs.
    """
    return (kinds.foreign(stage), kinds.trained_epochs(stage)) == (kinds.foreign(other), kinds.trained_epochs(other))


def comparable(stages: Sequence[Stage], like: Stage) -> list[Stage]:
    """Return the stages whose scores compare with those of one, and are on the same data."""
    return [stage for stage in stages if compares(stage, like) and stage.fingerprint == like.fingerprint]


def left_out(stages: Sequence[Stage], chosen: Stage) -> str | None:
    """Return a sentence on the stages whose scores do not compare with the best one's; None where all do."""
    here = [] if kinds.foreign(chosen) else stages
    elsewhere = ", ".join(stage.name for stage in here if kinds.foreign(stage))
    trained = kinds.trained_epochs(chosen) or 0
    shorter: dict[int, list[str]] = {}
    for stage in here:
        epochs = kinds.trained_epochs(stage)
        if epochs is not None and epochs < trained and not kinds.foreign(stage):
            shorter.setdefault(epochs, []).append(stage.name)
    parts = [f"the scores of {elsewhere} are left out: they were made elsewhere, on other data"] if elsewhere else []
    parts += [
        f"the scores of {', '.join(names)} are left out: they are after {counted(epochs, 'epoch')}, and those of "
        f"{chosen.name} after {trained}"
        for epochs, names in shorter.items()
    ]
    return "; ".join(parts) or None


def kept_study(stage: Stage) -> StudyFile:
    """Return the study file that a stage keeps."""
    kind = kinds.kind_of(stage.study_file)
    return parse(kind.kept(stage.study_file), source=f"the study file kept in {stage.name}")


def begin(
    store: Store,
    study: StudyFile,
    data: Data,
    *,
    number: int | None = None,
    seed: int | None = None,
    pruner: str | None = None,
    epochs: int | None = None,
) -> tuple[Stage, bool]:
    """Return the stage to run, the search's latest or the one of that number or a new stage 1; and whether it is new.

    Raises:
        UnknownSearch: There is no stage of that number.
        StageConflict: The stage was begun with another seed, pruning rule or number of epochs.
    """
    stages, new = store.stages(study.name), None
    if stages:
        first, stage = stages[0], pick(stages, number)
    elif number not in (None, 1):
        raise UnknownSearch(f"{study.name} has no stage {number}: it has not been started")
    else:
        new = replace(
            adjusted(study, pruner, epochs).first_stage(seed),
            fingerprint=data.fingerprint,
            sizes=data.sizes,
            preprocessing=data.facts,
            versions=versions(study.to_dict()),
        )
        # Another process may have created the stage meanwhile, with its own seed and rule.
        first = stage = store.create_stage(new)
    if seed is not None and first.seed != seed:
        raise StageConflict(
            f"{{}}: {first.name} was begun with seed {first.seed}; give the search another name or another {{}}",
            Argument("seed", seed),
            Argument("storage"),
        )
    stage = _as_asked(store, stage, pruner, epochs)
    return stage, new is not None and (stage.seed, stage.study_file) == (new.seed, new.study_file)


def with_epochs(stage: Stage, epochs: int) -> dict[str, Any]:
    """Return the study file of a stage with trials of so many epochs, as plain data.

    Raises:
        BadArgument: Its trials have none.
        StageConflict: It was run elsewhere, without a study file.
    """
    if not kinds.trainable(stage):
        raise no_study_file(stage)
    return kept_study(stage).with_epochs(epochs).to_dict()


def adjusted(study: StudyFile, pruner: str | None, epochs: int | None) -> StudyFile:
    """Return a study file with the pruning rule and the epochs that a run has given; None: the file's."""
    study = study if epochs is None else study.with_epochs(epochs)
    return study if pruner is None else study.with_pruning(pruner)


def _as_asked(store: Store, stage: Stage, pruner: str | None, epochs: int | None) -> Stage:
    """Return the stage with that pruning rule and epochs: its own, or new ones as long as it has no trials."""
    rule, own = stage.pruning_rule, kinds.trained_epochs(stage)
    # `adopt` accepts or refuses an imported stage.
    if (pruner in (None, rule) and epochs in (None, own)) or not kinds.trainable(stage):
        return stage
    if not store.counts(stage).rows:
        study = adjusted(kept_study(stage), pruner, epochs)
        return store.create_stage(replace(stage, study_file=study.to_dict()), replace=True)
    if pruner not in (None, rule):
        raise StageConflict(
            f"{{}}: {stage.name} was begun with pruning rule {rule}, and trials under two rules cannot be compared; "
            "leave it out, or give the search another name or another {}",
            Argument("pruner", pruner),
            Argument("storage"),
        )
    raise StageConflict(
        f"{{}}: {stage.name} was begun with {'no' if own is None else own} epochs, and scores after more or fewer do "
        "not compare; leave it out, or make a stage of that length with `{}`",
        Argument("epochs", epochs),
        actions_for(store, stage.search)("narrow", stage=stage.number, epochs=epochs),
    )


def check_fingerprint(stage: Stage, fingerprint: str) -> None:
    """Check that a stage continues with the data that it was begun with. StageConflict if they differ."""
    if stage.fingerprint != fingerprint:
        data = "data, fit parameters or folds (cv)" if kinds.foreign(stage) else "data"
        raise StageConflict(
            f"the {data} of {stage.name} have changed (sha256 {stage.fingerprint[:12]}, now {fingerprint[:12]}); "
            f"bring the old {data} back, or give the search another name"
        )


def other_version(store: Store, stage: Stage) -> str | None:
    """Return a warning where a stage's trials were begun with another version of hpsearch."""
    now, then = versions()["hpsearch"], stage.versions.get("hpsearch")
    if then in (None, now) or not store.counts(stage).rows:
        return None
    return (
        f"{stage.name} was begun with hpsearch {then}, and this is {now}: its new trials may differ from that "
        "version's; to compare like with like, begin another search or stage"
    )


def no_study_file(stage: Stage) -> StageConflict:
    """Return the error for a search that was run elsewhere and has no study file to train by."""
    was, remedy = f"was imported from {_origin(stage)} without a study file", f"narrow it, then {go_on(stage)}"
    if _fitted(stage):
        was = "was fitted from Python, where fit goes on with it"
    elif not stage.imported:
        was, remedy = f"has no study file: {stage.name} was narrowed from imported trials", go_on(stage)
    return StageConflict(f"{stage.search} {was}, so hpsearch cannot train its trials; {remedy}")


def _fitted(stage: Stage) -> bool:
    return "estimator" in stage.study_file.get("objective", {})


def go_on(stage: Stage) -> str:
    """Return how a search that was run elsewhere goes on after it was narrowed."""
    known = kinds.kind_of(stage.study_file).parameters
    own = "start it with a study file of your own"
    if unknown := ", ".join(name for name in stage.space if known is not None and name not in known):
        return f"{own} function or command: hpsearch itself has no hyperparameter {unknown}"
    return f"{own}: these trials were {'fitted from Python' if _fitted(stage) else 'run elsewhere'}"


def adopt(store: Store, stage: Stage, study: StudyFile, data: Data) -> Stage:
    """Return an imported stage with a study file to train by.

    Imported trials are never mixed with new ones, as their data differ. So only a stage without trials, narrowed from
    imported ones, takes on a study file; any other is a StageConflict.
    """
    if store.counts(stage).rows:
        raise StageConflict(
            f"the trials of {stage.name} were run elsewhere ({_origin(stage)}), so none can be added to them here; "
            "`{}` makes the next stage, which can be started",
            actions_for(store, stage.search)("narrow"),
        )
    if study.space and set(study.space) != set(stage.space):
        raise StageConflict(
            f"{stage.name} searches {', '.join(stage.space)}, and the study file {', '.join(study.space)}; they "
            "must be the same hyperparameters"
        )
    if study.direction != stage.direction:
        raise StageConflict(
            f"{stage.name} {stage.direction}s its score, and the study file {study.direction}s {study.metric}"
        )
    try:
        # Nothing was known of conditions where it was run. A function that declares its space knows them itself.
        space = {
            name: replace(range_, when=study.space[name].when) if study.space else range_
            for name, range_ in stage.space.items()
        }
        plain = study.to_dict() | {"space": space_to_dict(space) if study.space else {}}
        parse(plain, source=f"the ranges of {stage.name}")
    except BadStudyFile as error:
        raise StageConflict(f"{stage.name} cannot be trained here: {error}") from error
    adopted = replace(
        stage,
        space=space,
        study_file=study.to_dict(),  # with its own ranges, as the first stage of a search keeps them
        fingerprint=data.fingerprint,
        sizes=data.sizes,
        preprocessing=data.facts,
        versions=versions(study.to_dict()),
    )
    return store.create_stage(adopted, replace=True)


def _origin(stage: Stage) -> str:
    return str(stage.imported.get("from", "elsewhere"))


def to_run_again(store: Store, storage: str | None, stages: Sequence[Stage] | None = None) -> list[Action]:
    """Return the actions that run waiting trials again, of these stages or all, after they have been released.

    There is none for a stage that another program made, as nothing here trains it.
    """
    actions = []
    for stage in stages or (*store.stages(), *store.confirmations()):
        counts = store.counts(stage)
        if not counts.waiting or kinds.foreign(stage):
            continue
        arguments = {"search": stage.search, "stage": stage.number, "storage": storage}
        if stage.plan is not None:
            actions.append(Action("confirm", arguments))
        else:
            actions.append(Action("start", {**arguments, "trials": counts.rows}))
    return actions
