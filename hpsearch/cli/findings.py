"""``hpsearch findings``: what a search has taught so far, and what to do next."""

from __future__ import annotations

from typing import Annotated

import typer

from hpsearch.cli.options import Format, FormatOption, Search, Storage, storage_url
from hpsearch.cli.render import word


def findings(
    search: Search = None,
    top: Annotated[int, typer.Option(min=2, max=10**6, help="How many of the best trials to call the best.")] = 5,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Say what was learned so far and what to do next, the most important first."""
    from hpsearch.cli.output import emit, emit_object, say
    from hpsearch.search.findings import findings as found_in
    from hpsearch.search.stage import resolve_search, stages_of
    from hpsearch.store import open_store

    search = resolve_search(search)
    store = open_store(storage_url(storage))
    try:
        found = found_in(store, stages_of(store, search), top=top)
    finally:
        store.close()
    match output:
        case Format.json:
            emit_object(found.plain(word))
        case Format.csv:
            emit({"advice": [sentence.worded(word) for sentence in found.advice]}, output)
        case Format.table:
            say(found.stage)
            for sentence in found.advice:
                say(f"- {sentence.worded(word)}")
