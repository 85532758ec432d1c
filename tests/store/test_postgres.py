"""What only a server's database does."""

from __future__ import annotations

from postgres import Server

from hpsearch.store import NewStage, open_store


def test_a_database_is_made_and_emptied(postgres: Server, postgres_url: str, new_stage: NewStage) -> None:
    store = open_store(postgres_url, write=True)
    stage = store.create_stage(new_stage)
    assert store.stages() == [stage]
    store.close()
    assert postgres.connections(postgres_url) == 0
    again = open_store(postgres.cleared())
    assert again.stages() == []
    again.close()
