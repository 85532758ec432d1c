"""Who runs the jobs of a service's database."""

from __future__ import annotations

from sqlalchemy import select

from hpsearch.service.jobs import JOBS, Queue
from hpsearch.store.leases import Owner


def running_here(queue: Queue) -> list[Owner]:
    """The processes of this machine that run jobs."""
    with queue._database.read() as connection:
        texts = connection.execute(select(JOBS.c.owner).where(JOBS.c.state == "running")).scalars().all()
    owners = [owner for owner in map(Owner.from_json, texts) if owner is not None]
    return [owner for owner in owners if owner.is_here() and not owner.is_gone()]
