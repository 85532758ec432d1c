"""``hpsearch findings``: what a search has taught so far, and what to do next."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.cli.options import Format, FormatOption, Search, Storage, storage_url

if TYPE_CHECKING:
    from hpsearch.search.findings import Findings


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
            emit_object(_plain(found))
        case Format.csv:
            emit({"advice": list(found.advice)}, output)
        case Format.table:
            say(found.stage)
            for sentence in found.advice:
                say(f"- {sentence}")


def _plain(found: Findings) -> dict[str, Any]:
    """Findings as JSON has them."""
    from hpsearch.space import parameter_to_dict

    plain = asdict(found)
    for name, of in found.ranges.items():
        for key in ("before", "after", "expanding"):
            parameter = getattr(of, key)
            plain["ranges"][name][key] = None if parameter is None else parameter_to_dict(parameter)
    return plain
