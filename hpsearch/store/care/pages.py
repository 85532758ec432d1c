"""The pages of a SQLite file, read without SQLite, which gives up on a file at the first page that is wrong.

What is needed of the format (https://sqlite.org/fileformat2.html): a table is a tree of pages whose leaves hold rows,
each with its rowid. Whatever does not fit the format is left out and counted; nothing is guessed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from hpsearch.store.care import journal, log
from hpsearch.store.opening import MAGIC
from hpsearch.store.side_files import JOURNAL, LOG, beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Row: TypeAlias = tuple[Any, ...]

_INTERIOR, _LEAF = 0x05, 0x0D
_USUAL_SIZE = 4096
_FILE_HEADER = 100


class Unfit(Exception):
    """Something that does not fit the format."""


@dataclass
class Read:
    """What was read of one table.

    Args:
        rows: By rowid.
        lost: How many pages and cells could not be read.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    lost: int = 0


class Image:
    """A SQLite file with what its log holds, and without what its journal undoes.

    Args:
        file: The file.
    """

    def __init__(self, file: Path) -> None:
        with file.open("rb") as stream:
            self._raw = stream.read()
            # While it is open: closing it gives up this process's locks of it.
            logged, undone = (_content(beside(file, end)) for end in (LOG, JOURNAL))
        self.size = self._page_size(logged)
        before = journal.originals(undone)
        before = before if before is not None and before.size == self.size else None
        newer = log.committed(logged) if log.page_size(logged) == self.size else {}
        self._newer = ({} if before is None else before.pages) | newer
        self.count = max([-(-len(self._raw) // self.size) if before is None else before.length, *newer])
        first = self.page(1)
        self.headed = first.startswith(MAGIC)
        reserved = first[20] if self.headed and first[20] <= 32 else 0
        self._usable = self.size - reserved

    def _page_size(self, logged: bytes) -> int:
        (said,) = struct.unpack(">H", self._raw[16:18]) if len(self._raw) >= 18 else (0,)
        said = 65536 if said == 1 else said
        if self._raw.startswith(MAGIC) and said >= 512 and said & (said - 1) == 0:
            return int(said)
        return log.page_size(logged) or _USUAL_SIZE

    def page(self, number: int) -> bytes:
        """A page; zeros where the file ends before it does."""
        if number in self._newer:
            return self._newer[number]
        start = (number - 1) * self.size
        return self._raw[start : start + self.size].ljust(self.size, b"\0")

    def free(self) -> set[int]:
        """Pages that hold nothing any more, as far as the list of them can be followed."""
        found: set[int] = set()
        if not self.headed:
            return found
        (trunk,) = struct.unpack(">I", self.page(1)[32:36])
        while 1 < trunk <= self.count and trunk not in found:
            found.add(trunk)
            page = self.page(trunk)
            following, many = struct.unpack(">II", page[:8])
            if many > self.size // 4 - 2:
                break
            found.update(struct.unpack(f">{many}I", page[8 : 8 + 4 * many]))
            trunk = following
        return found

    def table(self, root: int, visited: set[int]) -> Read:
        """The rows of a table.

        Args:
            root: The first page of its tree.
            visited: Pages that belong to some tree; those of this one are added.
        """
        found = Read()
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if not 1 <= number <= self.count or number in visited:
                found.lost += 1
                continue
            visited.add(number)
            kind = self._kind(number)
            if kind == _INTERIOR:
                waiting += self._children(number, found)
            elif kind == _LEAF:
                found.rows |= self.leaf(number, found)
            else:
                found.lost += 1
        return found

    def leaves(self) -> Iterator[int]:
        """The pages that look like leaves of tables, whether or not a tree leads there."""
        return (number for number in range(2, self.count + 1) if self._kind(number) == _LEAF)

    def leaf(self, number: int, into: Read) -> dict[int, Row]:
        """The rows of a leaf, by rowid; what cannot be read is counted."""
        rows: dict[int, Row] = {}
        for at in self._cells(number, 8, into):
            try:
                rowid, row = self._cell(self.page(number), at)
            except (Unfit, IndexError, struct.error, UnicodeDecodeError):
                into.lost += 1
                continue
            if rowid in rows:
                into.lost += 1
            rows[rowid] = row
        return rows

    def _start(self, number: int) -> int:
        return _FILE_HEADER if number == 1 else 0

    def _kind(self, number: int) -> int:
        return self.page(number)[self._start(number)]

    def _cells(self, number: int, header: int, into: Read) -> list[int]:
        """Where a page's cells are."""
        page, start = self.page(number), self._start(number)
        (many,) = struct.unpack(">H", page[start + 3 : start + 5])
        first = start + header
        if first + 2 * many > self._usable:
            into.lost += 1
            return []
        places = struct.unpack(f">{many}H", page[first : first + 2 * many])
        fit = [at for at in places if first + 2 * many <= at < self._usable]
        into.lost += len(places) - len(set(fit))
        return sorted(set(fit))

    def _children(self, number: int, into: Read) -> list[int]:
        page, start = self.page(number), self._start(number)
        last = struct.unpack(">I", page[start + 8 : start + 12])
        cells = self._cells(number, 12, into)
        return [*(struct.unpack(">I", page[at : at + 4])[0] for at in cells if at + 4 <= len(page)), *last]

    def _cell(self, page: bytes, at: int) -> tuple[int, Row]:
        length, at = _varint(page, at)
        rowid, at = _varint(page, at)
        if not 0 < rowid < 2**62 or length > len(self._raw) + len(self._newer) * self.size:
            raise Unfit
        most = self._usable - 35
        local = length
        if length > most:
            least = (self._usable - 12) * 32 // 255 - 23
            local = least + (length - least) % (self._usable - 4)
            local = local if local <= most else least
        if at + local > self._usable:
            raise Unfit
        payload = page[at : at + local]
        if local < length:
            (following,) = struct.unpack(">I", page[at + local : at + local + 4])
            payload += self._overflow(following, length - local)
        return rowid, _record(payload)

    def _overflow(self, number: int, missing: int) -> bytes:
        parts, seen = [], set()
        while missing > 0:
            if not 1 < number <= self.count or number in seen:
                raise Unfit
            seen.add(number)
            page = self.page(number)
            parts.append(page[4 : min(4 + missing, self._usable)])
            missing -= len(parts[-1])
            (number,) = struct.unpack(">I", page[:4])
        if number != 0:
            raise Unfit
        return b"".join(parts)


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        byte = data[at + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    value = value << 8 | data[at + 8]
    return value - 2**64 if value >= 2**63 else value, at + 9


_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_CONSTANTS: dict[int, int | None] = {0: None, 8: 0, 9: 1}


def _record(payload: bytes) -> Row:
    """The values of a row. All bytes must be accounted for."""
    header, at = _varint(payload, 0)
    kinds = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if at != header:
        raise Unfit
    values: list[Any] = []
    for kind in kinds:
        if kind in _CONSTANTS:
            values.append(_CONSTANTS[kind])
            continue
        if kind == 7:
            size = 8
        elif kind in _INTEGERS:
            size = _INTEGERS[kind]
        elif kind >= 12:
            size = (kind - 12) // 2
        else:
            raise Unfit
        piece = payload[at : at + size]
        if len(piece) != size:
            raise Unfit
        at += size
        if kind == 7:
            values.append(struct.unpack(">d", piece)[0])
        elif kind in _INTEGERS:
            values.append(int.from_bytes(piece, "big", signed=True))
        else:
            values.append(piece.decode("utf-8") if kind % 2 else piece)
    if at != len(payload):
        raise Unfit
    return tuple(values)
