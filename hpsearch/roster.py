"""What a confirmation trains again: which settings, how often, and which of its trials is which of them.

Trials of a study are numbered in the order in which they begin, without gaps, so a confirmation that grows can only
number on. A formula over (settings, repeats) would give the numbers that are taken another meaning as soon as either
grows. So the way of growing is kept: blocks of settings and repeats, one behind the other. A block is never changed
and none is removed, hence the meaning of a number, once it has one, is the same for ever, for every process that has
read the list before or after it grew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hpsearch.space import Value


@dataclass(frozen=True, slots=True)
class Setting:
    """The values of one trial, to be trained again.

    Args:
        trial: The trial's number in its own stage.
        params: Its drawn values by parameter name.
        score: Its score there.
    """

    trial: int
    params: Mapping[str, Value]
    score: float


class Block(NamedTuple):
    """Consecutive trials: for each repeat from ``first`` to before ``stop``, one of each of some settings.

    All settings of a repeat come before the next repeat, so that wherever a run is stopped the settings have been
    trained equally often, but for one.
    """

    settings: tuple[int, ...]
    first: int
    stop: int

    @property
    def size(self) -> int:
        """How many trials it holds."""
        return len(self.settings) * (self.stop - self.first)


@dataclass(frozen=True, slots=True)
class Roster:
    """The settings of a confirmation and its trials' places among them. It only ever grows.

    Args:
        settings: In the order in which they were taken in.
        blocks: The trials, by number. Of each setting they hold the repeats 0, 1, ... without a gap.
    """

    settings: tuple[Setting, ...] = ()
    blocks: tuple[Block, ...] = ()

    @property
    def size(self) -> int:
        """How many trials have a place."""
        return sum(block.size for block in self.blocks)

    @property
    def asked(self) -> tuple[int, int]:
        """How many settings there are, and the most repeats that any of them has a place for."""
        return len(self.settings), max(map(self.repeats, range(len(self.settings))), default=0)

    def place(self, number: int) -> tuple[int, int]:
        """Which setting, by index, and which repeat of it a trial is.

        Raises:
            IndexError: The number is beyond the last block.
        """
        left = number
        for block in self.blocks:
            if left < block.size:
                repeat, position = divmod(left, len(block.settings))
                return block.settings[position], block.first + repeat
            left -= block.size
        raise IndexError(f"trial {number} of {self.size}")

    def repeats(self, setting: int) -> int:
        """How many repeats of a setting, by index, have a place."""
        return max((block.stop for block in self.blocks if setting in block.settings), default=0)

    def grown(self, settings: Sequence[Setting], repeats: int) -> Roster:
        """A roster that has this many repeats of these settings, and all that this one has.

        Those that have fewer repeats than others are brought level first.

        Args:
            settings: The settings. One of a trial that is here already is the one that is here.
            repeats: How many of each there are to be.
        """
        known = {one.trial for one in self.settings}
        every = (*self.settings, *(one for one in settings if one.trial not in known))
        asked = {one.trial for one in settings}
        has = {index: self.repeats(index) for index, one in enumerate(every) if one.trial in asked}
        levels = sorted({many for many in has.values() if many < repeats} | {repeats})
        added = [
            Block(tuple(index for index, many in has.items() if many <= first), first, stop)
            for first, stop in pairwise(levels)
        ]
        return Roster(every, (*self.blocks, *added))

    def end(self, trials: Collection[int], repeats: int) -> int:
        """The number behind the last of these trials' repeats below ``repeats``: by then all of them have had a place.

        Args:
            trials: The settings, by their trials' numbers.
            repeats: How many of each.
        """
        wanted = {index for index, one in enumerate(self.settings) if one.trial in trials}
        end = behind = 0
        for block in self.blocks:
            mine = [position for position, index in enumerate(block.settings) if index in wanted]
            rows = min(block.stop, repeats) - block.first
            if mine and rows > 0:
                end = behind + (rows - 1) * len(block.settings) + mine[-1] + 1
            behind += block.size
        return end

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-able data."""
        settings = [{"trial": one.trial, "score": one.score, "params": dict(one.params)} for one in self.settings]
        return {"settings": settings, "blocks": [[list(block[0]), *block[1:]] for block in self.blocks]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Roster:
        """The inverse of `to_dict`."""
        settings = (Setting(one["trial"], one["params"], one["score"]) for one in plain.get("settings", ()))
        blocks = (Block(tuple(which), first, stop) for which, first, stop in plain.get("blocks", ()))
        return cls(tuple(settings), tuple(blocks))
