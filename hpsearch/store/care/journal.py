"""SQLite's rollback journal, read without SQLite: pages as they were before a change that was cut off."""

from __future__ import annotations

import struct
from typing import NamedTuple

_MAGIC = bytes.fromhex("d9d505f920a163d7")
_HEADER, _AROUND = 28, 8
_UNKNOWN = 0xFFFFFFFF
_STEP = 200
"""A checksum adds up each 200th byte of a page."""


class Originals(NamedTuple):
    """What a journal brings back.

    Args:
        size: Of a page, in bytes.
        length: How many pages the database had.
        pages: Those that had been about to change, by number.
    """

    size: int
    length: int
    pages: dict[int, bytes]


def originals(journal: bytes) -> Originals | None:
    """The pages that a journal holds; None where there is nothing to roll back.

    As SQLite does, it stops at the first one whose checksum is wrong: the file was not touched before what goes before
    that was on the disk (https://sqlite.org/fileformat2.html#rollbackjournal).

    Args:
        journal: The journal's bytes.
    """
    found: Originals | None = None
    at = 0
    while journal.startswith(_MAGIC, at) and at + _HEADER <= len(journal):
        many, nonce, length, sector, size = struct.unpack(">5I", journal[at + len(_MAGIC) : at + _HEADER])
        if found is None:
            if not _is_power(sector, 32) or not _is_power(size, 512):
                return None
            found, step = Originals(size, length, {}), sector
        record = found.size + _AROUND
        at += step
        for _ in range(len(journal[at:]) // record if many == _UNKNOWN else many):
            number = int.from_bytes(journal[at : at + 4], "big")
            page, said = journal[at + 4 : at + 4 + found.size], journal[at + 4 + found.size : at + record]
            if int.from_bytes(said, "big") != (nonce + sum(page[found.size - _STEP : 0 : -_STEP])) % 2**32:
                return found
            found.pages.setdefault(number, page)
            at += record
        at = -(-at // step) * step  # the next header, of what was begun after these were on the disk
    return found


def _is_power(value: int, least: int) -> bool:
    return least <= value <= 65536 and value & (value - 1) == 0
