"""The next stage: narrowing over a stage's trials in the database, and the new stage written there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput, StageConflict
from hpsearch.search.confirmation.leaders import confirmed_rule, fewer, leaders_of
from hpsearch.search.narrowing.looked import look, to_narrow
from hpsearch.search.narrowing.narrowed import Narrowing, narrowing_to_dict
from hpsearch.search.running.pruning import Plan, least_survivors
from hpsearch.search.stage import pick, versions
from hpsearch.seeds import stage_seed
from hpsearch.store import Counts, NewStage, Store
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.records import Stage
    from hpsearch.search.confirmation.tally import Repeats
    from hpsearch.statistics.findings import Movement

DEFAULT_TOP = 5
"""How many of the best trials narrowing uses, unless told otherwise."""


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
        raise BadInput(f"--top {top} of {counted(until, 'trial')} a stage; give more --trials or a smaller --top")
    if plan is not None and top > max(least := least_survivors(plan, until, counts), counts.complete):
        raise BadInput(
            f"--top {top} of {counted(until, 'trial')} a stage, of which pruning by {plan.rule} may leave {least} "
            "that run to the end; give more --trials, a smaller --top or --pruner none"
        )


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What `narrow_stage` found and did.

    Args:
        parent: The stage that was narrowed.
        finished: How many finished, scored trials it has; those that were stopped early count, as beaten.
        pruned: How many of them were stopped early.
        narrowing: The new ranges with their evidence.
        movement: How far each range's ends would move with other trials and images, by name.
        stage: The next stage, or None on a dry run.
        replaced: Whether it took the place of an earlier narrowing.
        confirmed: Of how many confirmed trials the best were taken; None: of all.
        remarks: What to know of a narrowing by confirmed trials: whether they were a choice, and what is not said.
    """

    parent: Stage
    finished: int
    pruned: int
    narrowing: Narrowing
    movement: Mapping[str, Movement]
    stage: Stage | None
    replaced: bool
    confirmed: int | None = None
    remarks: tuple[str, ...] = ()


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
    confirmed: bool = False,
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
        confirmed: Take for the best trials those of the stage's confirmation, by their mean scores.

    Raises:
        NotEnoughTrials: Fewer finished trials than ``top``, or none.
        UnknownSearch: With ``confirmed``: the stage has no confirmation.
        StageConflict: A later stage has trials already.
    """
    latest = stages[-1]
    latest_rows = store.counts(latest).rows
    parent = pick(stages, number) if number is not None else to_narrow(store, stages)
    next_number = latest.number if latest_rows == 0 and latest.number != parent.number else latest.number + 1
    # The narrowing that an empty last stage came from may be made again without saying --branch again.
    again = next_number == latest.number and latest.parent == parent.number
    if not branch and not again and not dry_run:
        for later in reversed(stages):
            rows = store.counts(later).rows if later.number > parent.number else 0
            if rows:
                raise StageConflict(
                    f"{later.name} has {counted(rows, 'trial')} already, so narrowing stage {parent.number} again "
                    f"would not replace it; narrow stage {later.number} instead, or add --branch to make stage "
                    f"{next_number} from stage {parent.number}"
                )
    leaders = leaders_of(store, parent, top=top, quantile=quantile) if confirmed else None
    if leaders is not None and top is None:
        top = min(DEFAULT_TOP, len(leaders))
    order = None if leaders is None else [one.setting.trial for one in leaders]
    ranges = look(store, stages, parent, top=top, quantile=quantile, expand=expand, leaders=order)
    narrowing = ranges.narrowing
    if leaders is not None:
        narrowing = replace(narrowing, rule={**narrowing.rule, **confirmed_rule(parent, leaders)})
    replaced = next_number == latest.number
    stage = None
    if not dry_run:
        stage = _next_stage(store, stages[0], parent, next_number, narrowing, replace=replaced)
    return Narrowed(
        parent=parent,
        finished=len(ranges.scored) + ranges.pruned,
        pruned=ranges.pruned,
        narrowing=narrowing,
        # That of the best by single scores, which were not asked.
        movement=ranges.movement(store) if leaders is None else {},
        stage=stage,
        replaced=replaced,
        confirmed=None if leaders is None else len(leaders),
        remarks=() if leaders is None else _remarks(leaders, narrowing),
    )


def _remarks(leaders: Sequence[Repeats], narrowing: Narrowing) -> tuple[str, ...]:
    """What to know of a narrowing by confirmed trials."""
    found = []
    if len(narrowing.used) == len(leaders):
        smaller = fewer(len(leaders))
        hint = f"; --top {smaller} takes the best by their means" if smaller else "; confirm more, and take the best"
        found.append(
            f"all {len(leaders)} confirmed trials were taken, so their means chose nothing, and ranges and p are those "
            f"of the same trials without --from confirm{hint}"
        )
    found.append(
        "how far other trials and images would move the ends is not known: that is counted by choosing among all "
        "trials again, and only these were confirmed"
    )
    return tuple(found)


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
