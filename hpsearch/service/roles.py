"""Roles: what somebody may do at a server."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """The role of somebody; each may do what those below it may."""

    READ = 1  # see everything
    RUN = 2  # start, narrow and stop too
    ADMIN = 3  # delete too
