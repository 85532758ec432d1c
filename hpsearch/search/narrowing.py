"""Narrowing over the database: the analysis of a stage's ranges, and the next stage made from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadArgument, BadInput, BadSpace, NotEnoughTrials, StageConflict
from hpsearch.objectives import kinds
from hpsearch.records import Argument, Sentence, Stage, ancestry, confirmation_name, stage_seed
from hpsearch.roles import described, has, scientific
from hpsearch.samplers import check_sampling, constraints_of
from hpsearch.search.best import Confirmed, overview
from hpsearch.search.edges import Edge, least_reach
from hpsearch.search.evidence import Effect
from hpsearch.search.parts import Part, part_with, parts_of
from hpsearch.search.plausible import MOST as MOST_TRIED
from hpsearch.search.plausible import Plausible, plausible
from hpsearch.search.pruning import Plan, least_survivors
from hpsearch.search.range_analysis import (
    Finished,
    NarrowedRange,
    Narrowing,
    narrow,
    used_count,
    used_trials,
)
from hpsearch.search.stage import (
    actions_for,
    check_counts,
    confirmation_of,
    made_from,
    params_at,
    pick,
    unscored,
    with_epochs,
)
from hpsearch.search.surrogate import delivered_space, surrogate_of
from hpsearch.serialization import to_plain
from hpsearch.space import Categorical, Parameter, describe, parameter_from_dict
from hpsearch.store.queries import html
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.objectives.base import Hyperparameter, UsedBy
    from hpsearch.store import Counts, Store

RULES = ("surrogate", "order-statistics")
DEFAULT_TOP = 5  # number of best trials that narrowing uses by default


def check_top(top: int, until: int, plan: Plan | None, counts: Counts, *, combinations: int = 1) -> None:
    """Check before a run that the stage will have as many trials as its narrowing uses, of each combination."""
    if top > max(until, counts.finished) // combinations:
        each = f", {until // combinations} of each of {combinations} scientific values" if combinations > 1 else ""
        raise BadArgument(
            "top", top, f"a stage has {counted(until, 'trial')}{each}", "use more trials or a smaller top"
        )
    if plan is not None and top > max(least := least_survivors(plan, until, counts), counts.complete):
        problem = f"of {counted(until, 'trial')} a stage, pruning by {plan.rule} may leave only {least} complete"
        raise BadArgument("top", top, problem, "use more trials, a smaller top or no pruning")


def stage_to_narrow(store: Store, stages: Sequence[Stage]) -> Stage:
    """Return the stage that is narrowed by default: the latest, or its parent while it has no trial.

    A refinement is not narrowed: its trials lie where its sampler expects the best, so that they are no evidence.
    """
    latest = next(stage for stage in reversed(stages) if stage.refinement is None)
    if latest.parent is not None and store.counts(latest).rows == 0:
        return pick(stages, latest.parent)
    return latest


def analyse_ranges(
    store: Store,
    stages: Sequence[Stage],
    stage: Stage,
    *,
    top: int | None = None,
    quantile: float | None = None,
    expand: bool = False,
    leaders: Mapping[int, float] | None = None,
    rule: str = "surrogate",
    regardless: bool = False,
) -> Narrowing:
    """Compute a stage's next ranges; nothing is written. NotEnoughTrials if fewer are complete than ``top``.

    The first options are those of `hpsearch.search.range_analysis.narrow`. With the rule ``surrogate`` ranges hold all
    plausible values (`hpsearch.search.plausible`), and those of parameters without evidence stay, unless
    ``regardless``; with ``order-statistics`` they are those of the best trials alone.
    """
    pruned, parts = store.counts(stage).pruned, parts_of(stage)

    def ranked(complete: int) -> int:
        return used_trials(complete, pruned, top, quantile)

    may_lack = kinds.may_lack(stage)
    whole = len(parts) > 1 or bool(may_lack)
    whole = whole or any(natural.used_by is not None for natural in kinds.parameters(stage).values())
    columns = store.scores(stage, ranked=None if whole else ranked)
    if not len(columns["number"]):
        raise unscored(store, stage.search, stage.name)
    if not whole and len(Finished.from_columns(stage.space, columns)) < len(columns["number"]):
        columns = store.scores(stage)  # those that were left out may have been among the best

    def analysed(part: Part, pruned: int) -> Narrowing:
        options = {"top": top, "quantile": quantile, "expand": expand, "leaders": leaders, "pruned": pruned}
        options["by_evidence"] = rule == "surrogate" and not regardless
        return _analysed(store, stages, stage, part, columns, rule, options)

    if len(parts) == 1:
        alone = analysed(parts[0], pruned)
        return replace(alone, rule={"rule": rule, **alone.rule})
    if leaders is not None:
        raise BadArgument(
            "source",
            "confirm",
            "only the best trials are confirmed, and ranges are narrowed for each scientific value",
            "leave it out",
        )
    stopped = _pruned(store, stage, parts) if pruned else [0] * len(parts)
    made: list[Narrowing | NotEnoughTrials] = []
    for part, beaten in zip(parts, stopped, strict=True):
        try:
            made.append(analysed(part, beaten))
        except NotEnoughTrials as error:  # this range stays
            made.append(error)
    return _joined(stage, parts, made, {"rule": rule, "top": top, "quantile": quantile, "expand": expand})


@dataclass(frozen=True, slots=True)
class Strongest:
    """The strongest evidence of any stage of a search that a parameter matters."""

    stage: str
    p: float  # that stage's p-value times the number of stages that have one: p of the whole search
    effect: Effect  # how the scores of that stage differ


def strongest_evidence(store: Store, stages: Sequence[Stage], *, top: int) -> dict[str, Strongest]:
    """Return the strongest evidence about each parameter over all stages whose trials were sampled uniformly.

    Each stage's p-value holds within its ranges, whatever the stages before it have shown, so the smallest of S times S
    is one of the whole search (Bonferroni).
    """
    seen: dict[str, list[Strongest]] = {}
    for stage in stages:
        if stage.refinement is not None:
            continue
        try:
            ranges = analyse_ranges(store, stages, stage, top=top, rule="order-statistics").ranges
        except NotEnoughTrials:
            continue
        for name, made in ranges.items():
            if made.evidence is not None and made.effect is not None:
                seen.setdefault(name, []).append(Strongest(stage.name, made.evidence, made.effect))
    strongest = {name: min(every, key=lambda of: of.p) for name, every in seen.items()}
    return {name: replace(of, p=min(of.p * len(seen[name]), 1.0)) for name, of in strongest.items()}


def _analysed(
    store: Store,
    stages: Sequence[Stage],
    stage: Stage,
    part: Part,
    columns: Mapping[str, NDArray[Any]],
    rule: str,
    options: Mapping[str, Any],
) -> Narrowing:
    """Compute the next ranges of a part, by its names of parameters.

    Args:
        columns: Those of the stage.
        rule: One of `RULES`.
        options: Further arguments of `narrow`.
    """
    may_lack = {name for name, own in part.names.items() if own in kinds.may_lack(stage)}
    trials = Finished.from_columns(part.space, part.select(columns), may_lack)
    if not len(trials):
        raise unscored(store, stage.search, stage.name)
    known, settings = part.known, {**kinds.settings(stage), **part.combination}
    first = part_with(parts_of(stages[0]), part.combination)
    first_space = stages[0].space if first is None else first.space
    constraints = constraints_of(stage)
    constrained = set() if constraints is None else constraints.names
    used_by = {name: natural.used_by for name, natural in known.items() if natural.used_by is not None}
    k = used_count(len(trials), options["pruned"], options["top"], options["quantile"])
    values = cache(partial(_plausible, store, stages, stage, part, trials, k, used_by=used_by))
    unmoved = unmoved_edges(store, stages, stage)
    return narrow(
        part.space,
        trials,
        direction=stage.direction,
        first_space=first_space,
        natural={name: reachable(natural, part.space[name]) for name, natural in known.items()},
        used_by=used_by,
        settings=settings,
        plausible=values if rule == "surrogate" else None,
        constrained=[name for name, own in part.names.items() if own in constrained],
        earlier={name: unmoved.get(own, []) for name, own in part.names.items()},
        **options,
    )


def _plausible(
    store: Store,
    stages: Sequence[Stage],
    stage: Stage,
    part: Part,
    trials: Finished,
    k: int,
    *,
    used_by: Mapping[str, UsedBy],
) -> dict[str, Plausible] | None:
    """Return the plausible values of a part's parameters; None with too few scores for a surrogate."""
    fixed = dict(part.combination)
    within = {**delivered_space(part.space), **{name: Categorical((value,)) for name, value in fixed.items()}}
    surrogate = surrogate_of(store, stages, like=stage, within=within)
    if surrogate is None or not part.space:
        return None
    best = trials.best(MOST_TRIED, stage.direction)
    return plausible(surrogate, part.space, best.params, k, fixed=fixed, used_by=used_by)


def unmoved_edges(store: Store, stages: Sequence[Stage], stage: Stage) -> dict[str, list[Edge]]:
    """Return the edges at a stage's bounds that the narrowings before it saw, by parameter.

    No stage since has trials beyond them. That their scores may be of other epochs does not matter: it is one response.
    """
    seen: dict[str, dict[str, Edge]] = {}
    for of, child in pairwise(ancestry(stages, stage)):
        since = [later for later in stages if later.number > of.number and store.counts(later).finished]
        for name, made in child.rule.get("ranges", {}).items():
            ranges = [here.space[name] for here in (stage, *since) if name in here.space]
            bounds = [(own.low, own.high) for own in ranges if not isinstance(own, Categorical)]
            for edge in made.get("edges", ()):
                # Edges of hpsearch 0.2 have no p: its rule had many false alarms.
                if "p" not in edge or edge.get("stage") or name not in stage.space:
                    continue
                ends = [-low for low, _ in bounds] if edge["side"] == "low" else [high for _, high in bounds]
                if ends[0] == max(ends) == (-edge["bound"] if edge["side"] == "low" else edge["bound"]):
                    before = parameter_from_dict(made["before"])
                    assert not isinstance(before, Categorical)
                    known = Edge(**edge | {"stage": of.name, "reach": least_reach(before)})
                    seen.setdefault(name, {}).setdefault(known.side, known)
    return {name: list(edges.values()) for name, edges in seen.items()}


def _pruned(store: Store, stage: Stage, parts: Sequence[Part]) -> list[int]:
    """Return how many trials of each part were pruned."""
    columns = store.columns(stage, states=("PRUNED",))
    params = [params_at(stage, columns, at) for at in range(len(columns["number"]))]
    return [sum(has(values, part.combination) for values in params) for part in parts]


def _joined(
    stage: Stage, parts: Sequence[Part], made: Sequence[Narrowing | NotEnoughTrials], options: Mapping[str, Any]
) -> Narrowing:
    """Return the next ranges of a stage whose parts were narrowed apart: ``lr[sgd]``, ``lr[adam]``.

    Raises:
        NotEnoughTrials: No part has enough.
    """
    narrowed = [part for part in made if isinstance(part, Narrowing)]
    if not narrowed:
        error = next(part for part in made if isinstance(part, NotEnoughTrials))
        raise NotEnoughTrials(f"{described(parts[0].combination)}: {error}")
    space: dict[str, Parameter] = {}
    ranges: dict[str, NarrowedRange] = {}
    for own, before in stage.space.items():
        if before.role == "scientific":
            space[own] = before
        for part, narrowing in zip(parts, made, strict=True):
            name = next((name for name, known in part.names.items() if known == own), None)
            if name is None:
                continue
            if isinstance(narrowing, Narrowing):
                of_part = narrowing.ranges[name]
            else:
                words = Sentence(f"too few trials with {described(part.combination)} have a score: range kept")
                of_part = NarrowedRange(part.space[name], part.space[name], 0, None, sentences=(words,))
            new, after = part.alone(stage, own, of_part.after)
            wide = None if of_part.widened is None else part.alone(stage, own, of_part.widened)[1]
            space[new] = after
            ranges[new] = replace(of_part, before=before, after=after, widened=wide)
    rule = {
        **options,
        "used": sum(len(part.used) for part in narrowed),
        "finished": sum(int(part.rule["finished"]) for part in narrowed),
        "scientific": scientific(stage.space),
        "direction": stage.direction,
    }
    if pruned := sum(int(part.rule.get("pruned", 0)) for part in narrowed):
        rule["pruned"] = pruned
    used = tuple(number for part in narrowed for number in part.used)
    return Narrowing(space, ranges, used, rule, all(part.level for part in narrowed))


def reachable(natural: Hyperparameter, old: Parameter) -> tuple[float | None, float | None]:
    """Return the bounds that an expansion may reach: half-way to a natural bound that the values leave out.

    On a log scale a bound of 0 is out of reach anyway.
    """
    if isinstance(old, Categorical):
        return None, None
    low, high = natural.low, natural.high
    if low is not None and natural.open_low:
        low = None if old.log else (old.low + low) / 2
    if high is not None and natural.open_high:
        high = (old.high + high) / 2
    return low, high


@dataclass(frozen=True, slots=True, repr=False)
class NextStage:
    """The next stage, made by narrowing another."""

    parent: Stage
    narrowing: Narrowing
    stage: Stage | None  # the next stage, or None on a dry run
    replaced: bool  # whether it took the place of an earlier narrowing
    confirmed: int | None = None  # number of confirmed trials of which the best were taken; None: the best of all
    remarks: tuple[Sentence, ...] = ()  # what was narrowed by or did not change, and other epochs

    @property
    def finished(self) -> int:
        """Number of the parent's trials with a score; pruned ones count, as beaten."""
        return int(self.narrowing.rule["finished"])

    @property
    def pruned(self) -> int:
        """Number of them that were pruned."""
        return int(self.narrowing.rule.get("pruned", 0))

    def __repr__(self) -> str:
        name = "nothing written" if self.stage is None else self.stage.name
        ranges = ", ".join(f"{parameter}: {describe(range_)}" for parameter, range_ in self.narrowing.space.items())
        return f"<{name}, narrowed from {self.parent.name}: {ranges}>"

    def _repr_html_(self) -> str:
        """Return the ranges as a table, for notebooks."""
        ranges = self.narrowing.ranges
        columns = {
            "parameter": list(ranges),
            "range": [describe(range_.before) for range_ in ranges.values()],
            "next range": [describe(range_.after) for range_ in ranges.values()],
            "kept": [f"{range_.kept:.0%}" for range_ in ranges.values()],
            "p": [range_.evidence for range_ in ranges.values()],
        }
        return html(columns)


def narrow_stage(
    store: Store,
    stages: Sequence[Stage],
    *,
    number: int | None = None,
    top: int | None = None,
    quantile: float | None = None,
    expand: bool = False,
    branch: bool = False,
    dry_run: bool = False,
    confirmed: bool = False,
    rule: str = "surrogate",
    regardless: bool = False,
    epochs: int | None = None,
) -> NextStage:
    """Compute the next stage's ranges from a stage's best trials, and make that stage; see `hpsearch.Search.narrow`.

    With ``confirmed`` the best trials are those of the stage's confirmation, by their mean scores. With ``epochs`` the
    next stage's trials are trained for so many.
    """
    check_counts(epochs=epochs)
    latest = stages[-1]
    parent = pick(stages, number) if number is not None else stage_to_narrow(store, stages)
    if parent.refinement is not None:
        raise StageConflict(
            f"{parent.name} is a refinement: its trials lie where its sampler expects the best, and are no evidence "
            "about ranges; `{}` narrows the stage that it refines",
            actions_for(store, parent.search)("narrow", stage=parent.parent, branch=True),
        )
    replaced = latest.number != parent.number and store.counts(latest).rows == 0
    next_number = latest.number if replaced else latest.number + 1
    # The narrowing that an empty last stage came from may be made again without `branch`.
    if not branch and not dry_run and not (replaced and latest.parent == parent.number):
        _check_later(store, stages, parent, next_number)
    leaders = leaders_of(store, parent, top=top, quantile=quantile) if confirmed else None
    if leaders is not None and top is None:
        top = min(DEFAULT_TOP, len(leaders))
    order = None if leaders is None else {leader.trial: leader.mean for leader in leaders}
    narrowing = analyse_ranges(
        store,
        stages,
        parent,
        top=top,
        quantile=quantile,
        expand=expand,
        leaders=order,
        rule=rule,
        regardless=regardless,
    )
    remarks: tuple[Sentence, ...] = ()
    if leaders is not None:
        names = ("trial", "mean", "repeats", "failed")
        means = [{name: getattr(leader, name) for name in names} for leader in leaders]
        source = {"from": confirmation_name(parent.search, parent.number), "confirmed": means}
        narrowing = replace(narrowing, rule={**narrowing.rule, **source})
        remarks = _remarks(leaders, narrowing)
    ranges = narrowing.ranges.values()
    if expand and not any(made.expanded for made in ranges):
        why = "" if any(made.edges for made in ranges) else ": none is seen to cut off better values"
        remarks += (Sentence(f"{{}} moved no bound{why}", (Argument("expand"),)),)
    if all(replace(made.after, when=made.before.when) == made.before for made in ranges):
        remarks += (Sentence("no range changed"),)
    study_file = parent.study_file if epochs is None else with_epochs(parent, epochs)
    new = made_from(
        parent,
        study_file=study_file,
        number=next_number,
        seed=stage_seed(stages[0].seed, next_number),
        space=narrowing.space,
        rule=to_plain(narrowing),
        trials_used=narrowing.used,
    )
    before, after = kinds.trained_epochs(parent), kinds.trained_epochs(new)
    if before != after:
        text = (
            f"trials of the next stage have {after} epochs, those of {parent.name} {before}: the scores do not compare"
        )
        remarks += (Sentence(text),)
    try:
        check_sampling(new, functions=False)
    except BadSpace as error:
        raise BadInput(f"the next ranges cannot be sampled: {error}; or use a larger {{}}", Argument("top")) from error
    stage = None if dry_run else store.create_stage(new, replace=replaced)
    return NextStage(parent, narrowing, stage, replaced, None if leaders is None else len(leaders), remarks)


def _check_later(store: Store, stages: Sequence[Stage], parent: Stage, next_number: int) -> None:
    for later in reversed(stages):
        rows = store.counts(later).rows if later.number > parent.number else 0
        if rows:
            instead = f"narrow stage {later.number} instead, or " if later.refinement is None else ""
            raise StageConflict(
                f"{later.name} has {counted(rows, 'trial')} already, so narrowing stage {parent.number} again would "
                f"not replace it; {instead}add {{}} to make stage {next_number} from stage {parent.number}",
                Argument("branch"),
            )


def leaders_of(store: Store, parent: Stage, *, top: int | None, quantile: float | None) -> Sequence[Confirmed]:
    """Return the settings of a stage's complete confirmation to narrow by, best first."""
    if quantile is not None:
        raise BadArgument("quantile", quantile, "only few trials are confirmed", "use top")
    confirmation = confirmation_of(store, parent)
    state, action = overview(store, confirmation), actions_for(store, parent.search)
    if state.left:
        raise NotEnoughTrials(
            f"{confirmation.name} is not complete: {state.finished} of {counted(state.plan.size, 'trial')} have "
            "finished; run `{}` to complete it",
            action("confirm", **state.as_begun),
        )
    least = max(2, top or 0)
    if len(state.ranking) < least:
        raise NotEnoughTrials(
            f"{{}}: only {counted(len(state.ranking), 'trial')} confirmed; use a smaller top, or first `{{}}`",
            Argument("top", least),
            action("confirm", stage=parent.number, top=least),
        )
    return state.ranking


def _remarks(leaders: Sequence[Confirmed], narrowing: Narrowing) -> tuple[Sentence, ...]:
    if len(narrowing.used) < len(leaders):
        return ()
    better = Argument("top", (len(leaders) + 1) // 2)
    hint = "{} uses the best by their means" if len(leaders) >= 3 else "confirm more, and use the best"
    text = (
        f"all {len(leaders)} confirmed trials were used, so their means chose nothing: ranges and p are those of the "
        f"same trials by their scores; {hint}"
    )
    return (Sentence(text, (better,) if len(leaders) >= 3 else ()),)
