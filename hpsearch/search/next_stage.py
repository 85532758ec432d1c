"""The next stage: narrowing over a stage's trials in the database, and the new stage written there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput, NotEnoughTrials, StageConflict
from hpsearch.hyperparameters import HYPERPARAMETERS, Hyperparameter
from hpsearch.search.finished import Finished
from hpsearch.search.narrowed import Narrowing, narrowing_to_dict
from hpsearch.search.narrowing import narrow, told_apart
from hpsearch.search.pruning import Plan, least_survivors
from hpsearch.search.stage import pick, versions
from hpsearch.seeds import stage_seed
from hpsearch.space import Categorical, Parameter
from hpsearch.store import Counts, NewStage, Store

if TYPE_CHECKING:
    from hpsearch.records import Stage


def reachable(kind: Hyperparameter, old: Parameter) -> tuple[float | None, float | None]:
    """The bounds that an expansion may reach: half-way to a bound that the values leave out.

    On a log scale a bound of 0 is out of reach anyway.
    """
    if isinstance(old, Categorical):
        return None, None
    low, high = kind.low, kind.high
    if low is not None and kind.open_low:
        low = None if old.log else (old.low + low) / 2
    if high is not None and kind.open_high:
        high = (old.high + high) / 2
    return low, high


def check_top(top: int, until: int, plan: Plan | None, counts: Counts) -> None:
    """Check, before a stage is run, that it comes to have as many trials as its narrowing asks for.

    Args:
        top: How many of the best trials narrowing is to use.
        until: How many finished trials the stage is to have.
        plan: How hopeless ones stop early; None: none does.
        counts: What the stage has already.

    Raises:
        BadInput: It does not.
    """
    if top > max(until, counts.finished):
        raise BadInput(f"--top {top} of {until} trials a stage; give more --trials or a smaller --top")
    if plan is not None and top > max(least := least_survivors(plan, until, counts), counts.complete):
        raise BadInput(
            f"--top {top} of {until} trials a stage, of which pruning by {plan.rule} may leave {least} that run to the "
            "end; give more --trials, a smaller --top or --pruner none"
        )


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What `narrow_stage` found and did.

    Args:
        parent: The stage that was narrowed.
        finished: How many finished, scored trials it has; those that were stopped early count, as beaten.
        pruned: How many of them were stopped early.
        narrowing: The new ranges with their evidence.
        stage: The next stage, or None on a dry run.
        replaced: Whether it took the place of an earlier narrowing.
    """

    parent: Stage
    finished: int
    pruned: int
    narrowing: Narrowing
    stage: Stage | None
    replaced: bool


def narrow_stage(
    store: Store,
    stages: list[Stage],
    *,
    number: int | None = None,
    top: int | None = None,
    quantile: float | None = None,
    expand: bool = False,
    branch: bool = False,
    dry_run: bool = False,
) -> Narrowed:
    """Compute the next stage's ranges from a stage's best trials, and make that stage.

    Args:
        store: The study database.
        stages: The search's stages.
        number: The stage to narrow; by default the latest that has trials.
        top: How many of the best trials to use.
        quantile: Or which fraction of them.
        expand: Move a bound outwards where the score still rises towards it.
        branch: Narrow an earlier stage although a later one has trials.
        dry_run: Only say what would happen.

    Raises:
        NotEnoughTrials: Fewer finished trials than ``top``, or none.
        StageConflict: A later stage has trials already.
    """
    latest = stages[-1]
    latest_rows = store.counts(latest).rows
    if number is None and latest_rows == 0 and latest.parent is not None:
        number = latest.parent
    parent = pick(stages, number)
    next_number = latest.number if latest_rows == 0 and latest.number != parent.number else latest.number + 1
    # The narrowing that an empty last stage came from may be made again without saying --branch again.
    again = next_number == latest.number and latest.parent == parent.number
    if not branch and not again and not dry_run:
        for later in reversed(stages):
            rows = store.counts(later).rows if later.number > parent.number else 0
            if rows:
                raise StageConflict(
                    f"{later.name} has {rows} trials already, so narrowing stage {parent.number} again would not "
                    f"replace it; narrow stage {later.number} instead, or add --branch to make stage "
                    f"{next_number} from stage {parent.number}"
                )
    kinds = {name: kind for name, kind in HYPERPARAMETERS.items() if name in parent.space}
    pruned = store.counts(parent).pruned
    columns = store.scores(
        parent,
        ranked=None
        if any(kind.used_by for kind in kinds.values())
        else lambda complete: told_apart(complete, pruned, top, quantile),
    )
    scored = Finished.from_columns(parent.space, columns)
    if len(scored) < len(columns["number"]):  # those that were left out may have been among the best
        scored = Finished.from_columns(parent.space, store.scores(parent))
    if not len(scored):
        raise NotEnoughTrials(f"{parent.name} has no finished trial with a score yet; run `hpsearch start` first")
    narrowing = narrow(
        parent.space,
        scored,
        top=top,
        quantile=quantile,
        direction=parent.direction,
        first_space=stages[0].space,
        expand=expand,
        natural={name: reachable(kind, parent.space[name]) for name, kind in kinds.items()},
        used_by={name: kind.used_by for name, kind in kinds.items() if kind.used_by is not None},
        settings=parent.settings,
        pruned=pruned,
    )
    replaced = next_number == latest.number
    stage = None
    if not dry_run:
        stage = _next_stage(store, stages[0], parent, next_number, narrowing, replace=replaced)
    return Narrowed(parent, len(scored) + pruned, pruned, narrowing, stage, replaced)


def _next_stage(
    store: Store, first: Stage, parent: Stage, number: int, narrowing: Narrowing, *, replace: bool
) -> Stage:
    rule: dict[str, Any] = narrowing_to_dict(narrowing)
    new = NewStage(
        search=parent.search,
        number=number,
        direction=parent.direction,
        seed=stage_seed(first.seed, number),
        space=narrowing.space,
        study_file=parent.study_file,
        parent=parent.number,
        rule=rule,
        trials_used=narrowing.used,
        fingerprint=parent.fingerprint,
        sizes=parent.sizes,
        versions=versions(),
    )
    return store.create_stage(new, replace=replace)
