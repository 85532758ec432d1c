"""Servers that crash, and networks that are torn: PostgreSQL, and Dask's scheduler and workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faulty.hooks import ShortCalls, ShortLeases
from faulty.place import Place
from faulty.process import Run
from faulty.proxy import Proxy
from faulty.signals import kill_one

if TYPE_CHECKING:
    from clusters import Cluster
    from postgres import Server

_AWAY_S = 1.5
"""A server or a network is away for so long at most."""
_SHORT = ShortLeases(lease=1.5, still=0.5, beat=0.05)


def _while_away(place: Place, run: Run) -> None:
    """Let a random time pass in which something is away, or less where the command gives up."""
    place.when_over(run, within=place.rng.uniform(0, _AWAY_S))


def database_crashes(place: Place, server: Server) -> None:
    """PostgreSQL is killed at any moment, and comes back."""
    run = place.start()
    place.at_any_moment(run)
    server.kill()
    _while_away(place, run)
    server.start()
    # One that is still opening the database has begun nothing: that is the storage's fault.
    place.expect(run, 0, 1, 2)


def database_torn_off(place: Place, server: Server) -> None:
    """The network between a runner and PostgreSQL is torn, or falls silent; another runner goes on; it comes back."""
    assert place.database is not None
    with Proxy(server.port) as proxy:
        run = place.start(_SHORT, url=place.database.replace(f":{server.port}/", f":{proxy.port}/"))
        place.at_any_moment(run)
        if place.rng.random() < 0.5:
            proxy.tear()
        else:
            proxy.fall_silent()
        other = place.start(_SHORT) if place.rng.random() < 0.5 else None
        _while_away(place, run if other is None else other)
        proxy.mend()
        place.expect(run, 0, 1, 2)
        if other is not None:
            place.expect(other, 0)


def _on_dask(address: str) -> tuple[str, ...]:
    return ("dask", "--scheduler", address)


def dask_worker_killed(place: Place, cluster: Cluster) -> None:
    """SIGKILL of a Dask worker at any moment; its nanny starts another one, and the command goes on."""
    run = place.start(engine=_on_dask(cluster.address))
    place.at_any_moment(run)
    kill_one(place, cluster.workers())
    place.expect(run, 0)


def dask_torn_off(place: Place, cluster: Cluster) -> None:
    """The network between a runner and the Dask scheduler is torn at any moment, or falls silent; it comes back."""
    port = int(cluster.address.rpartition(":")[2])
    with Proxy(port) as proxy:
        silent = place.rng.random() < 0.5
        # Some of the silences last longer than it waits for an answer, others do not.
        hooks = (ShortCalls(1.0),) if silent else ()
        run = place.start(*hooks, engine=_on_dask(f"tcp://127.0.0.1:{proxy.port}"))
        place.at_any_moment(run)
        if silent:
            proxy.fall_silent()
        else:
            proxy.tear()
        _while_away(place, run)
        proxy.mend()
        place.expect(run, 0, 1, 2)


def dask_scheduler_killed(place: Place, cluster: Cluster) -> None:
    """SIGKILL of the Dask scheduler at any moment."""
    # It will not come back, and the runner need not wait for long to see that.
    run = place.start(ShortCalls(3.0), engine=_on_dask(cluster.address))
    place.at_any_moment(run)
    cluster.process.kill()
    place.expect(run, 0, 1, 2)
