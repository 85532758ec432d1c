"""The kinds of faults, and one fault of a kind from beginning to end."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from faulty import disks, search, signals
from faulty.place import Place, Result, Undisturbed


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Args:
        words: What happens, for people.
        happen: Makes it happen; what is found afterwards is compared.
        in_flight: So many batches may have to be trained again, as they were under way; None: not bounded here.
        where: What it needs: ``disk``, ``server``, or nothing.
        ends: Whether the search can be completed afterwards: a damaged file cannot.
    """

    words: str
    happen: Callable[[Place], None]
    in_flight: int | None = 1
    where: str = ""
    ends: bool = True


KINDS: dict[str, Kind] = {
    "kill": Kind("SIGKILL of the runner", signals.killed),
    "kill-sql": Kind("SIGKILL of the runner before a random SQL statement", signals.killed_at_a_statement),
    "term": Kind("SIGTERM of the runner", signals.terminated),
    "int": Kind("SIGINT (Ctrl-C) of the runner", signals.interrupted),
    "stop": Kind("SIGSTOP of the runner, another takes over, SIGCONT", signals.stopped_and_continued, None),
    "worker": Kind("SIGKILL of a worker of the pool", signals.worker_killed, 1),
    "clock": Kind("a clock that is 1 to 48 hours off, the runner killed or not", signals.clock_off, None),
    "disk": Kind("a full disk", disks.full, where="disk"),
    "file-size": Kind("a limit on the size of files", disks.files_limited),
    "damage": Kind("random bytes of the database overwritten", disks.damaged, None, ends=False),
}


class World:
    """What all faults of a run share."""

    def __init__(self) -> None:
        self.undisturbed = Undisturbed()

    def close(self) -> None:
        """End what was started."""

    @contextlib.contextmanager
    def _surroundings(self, kind: Kind) -> Iterator[dict[str, Any]]:
        if kind.where == "disk":
            with disks.small_disk() as disk:
                yield {"disk": disk}
        else:
            yield {}

    def suffer(self, name: str, seed: int) -> Result:
        """Have one fault of a kind happen, and look what it cost."""
        kind = KINDS[name]
        rng = random.Random(f"{name} {seed}")
        with self._surroundings(kind) as more, Place(self.undisturbed, rng, **more) as place:
            kind.happen(place)
            if not kind.ends:
                return Result(differing=0, wrong=tuple(place.wrong))
            result = place.judged(search.read(place.url))
        if kind.in_flight is not None and result.again > kind.in_flight:
            more_wrong = f"{result.again} batches were trained again, {kind.in_flight} were in flight"
            result = replace(result, wrong=(*result.wrong, more_wrong))
        return result


def lacking(name: str) -> str | None:
    """Why a kind cannot happen here; None: it can."""
    if KINDS[name].where == "disk" and not disks.may_mount():
        return "only root may mount a file system"
    return None
