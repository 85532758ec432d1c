"""What narrowing found: the new ranges, why, and that in words and as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.search.narrowing.evidence import Edge
from hpsearch.space import Categorical, Parameter, Space, parameter_to_dict, space_to_dict
from hpsearch.statistics.findings import CLEAR, WEAK

if TYPE_CHECKING:
    from hpsearch.objectives.base import UsedBy
    from hpsearch.records import Direction


@dataclass(frozen=True, slots=True)
class NarrowedRange:
    """What narrowing made of one parameter, and why.

    Args:
        name: The parameter's name.
        before: The range that the trials were drawn from.
        after: The new range.
        top: Number of trials it rests on.
        evidence: Probability that ``top`` trials lie this close together if the parameter does not matter; None
            where fewer than two of the best trials used it.
        lowest: Smallest value among them; None for a categorical parameter, or where nothing rests on them.
        highest: Largest value among them; None likewise.
        kept: New width as a share of the old one, on the own scale (of choices: their number).
        edges: The bounds towards which the score still rises.
        expanded: Whether a bound moved outwards.
        stopped: The limits that ended or forbade such a move, by side.
        expanding: Whether bounds were allowed to move outwards.
        direction: Whether a higher or a lower score is better.
        best: Number of best trials, of which ``top`` use the parameter; None where all trials use it.
        used_by: Which trials use it; None: all.
        few: How many trials ran to the end, where pruning left too few to look for edges; otherwise None.
    """

    name: str
    before: Parameter
    after: Parameter
    top: int
    evidence: float | None
    lowest: float | None
    highest: float | None
    kept: float
    edges: tuple[Edge, ...] = ()
    expanded: bool = False
    stopped: Mapping[str, float] | None = None
    expanding: bool = False
    direction: Direction = "maximize"
    best: int | None = None
    used_by: UsedBy | None = None
    few: int | None = None

    def sentences(self) -> tuple[str, ...]:
        """The evidence and the edges in plain words, a sentence each."""
        if isinstance(self.before, Categorical) and len(self.before.choices) == 1:
            return ("no evidence: there was only one choice",)
        if self.evidence is None:
            return (self._unused_sentence(),)
        p = f"{self.evidence:.1g}" if self.evidence < CLEAR else f"{self.evidence:.2f}"
        many = isinstance(self.before, Categorical)
        close = "agree far more than chance would" if many else "lie far closer together than chance would put them"
        who = f"the top {self.top}"
        if self.best is not None and self.top < self.best:
            who = f"of the best {self.best} the {self.top} that use it"
        if self.evidence <= CLEAR:
            words = f"evidence {p}: {who} {close}"
        elif self.evidence <= WEAK:
            words = f"some evidence ({p}): {who} {close.replace('far ', '')}"
        else:
            words = f"no evidence ({p}): {who} are spread as if {self.name} did not matter"
        if self.few is not None:
            return words, f"{self.few} trials that ran to the end are too few to say whether a bound was cut too low"
        return (words, *map(self._edge_sentence, self.edges))

    def _unused_sentence(self) -> str:
        many = f"only {self.top}" if self.top else "none"
        where = "" if self.used_by is None else f" ({self.used_by.name} {', '.join(self.used_by.values)})"
        return f"{many} of the best {self.best} trials used {self.name}{where}: range kept"

    def _edge_sentence(self, edge: Edge) -> str:
        bound = f"{'upper' if edge.side == 'high' else 'lower'} bound {edge.bound:.4g}"
        start = f"the score still {'rises' if self.direction == 'maximize' else 'falls'} towards the {bound}"
        if not self.expanding or isinstance(self.after, Categorical):
            return f"{start}: widen with --expand"
        moved = self.after.high if edge.side == "high" else self.after.low
        limit = (self.stopped or {}).get(edge.side)
        if limit is None:
            return f"{start}: widened to {moved:.4g}"
        if moved == edge.bound:
            return f"{start}, but the limit {limit:.4g} allows no wider range"
        return f"{start}: widened to {moved:.4g}, where the limit {limit:.4g} stopped it"


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The next stage's ranges and where they come from.

    Args:
        space: The new ranges, in the old order.
        ranges: What was made of each parameter, in the same order.
        used: Numbers of the trials that it rests on, best first.
        rule: The options it was made with, JSON-able.
    """

    space: Space
    ranges: Mapping[str, NarrowedRange]
    used: tuple[int, ...]
    rule: dict[str, Any]


def narrowing_to_dict(narrowing: Narrowing) -> dict[str, Any]:
    """A narrowing as JSON-able data, as it is stored with the stage."""
    return {
        "space": space_to_dict(narrowing.space),
        "ranges": {
            name: {
                "before": parameter_to_dict(r.before),
                "after": parameter_to_dict(r.after),
                **{key: getattr(r, key) for key in ("top", "evidence", "lowest", "highest", "kept", "expanded")},
                "edges": [asdict(edge) for edge in r.edges],
                "stopped": dict(r.stopped or {}),
                "sentences": list(r.sentences()),
            }
            for name, r in narrowing.ranges.items()
        },
        "used": list(narrowing.used),
        "rule": dict(narrowing.rule),
    }
