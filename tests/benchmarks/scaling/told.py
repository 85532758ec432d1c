"""What was measured, as Markdown. Pure, but for `say`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from measuring import markdown

from scaling.growth import rows_of_trial
from scaling.loop import Call, Run


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(text, file=sys.stderr, flush=True)


def run(plain: Mapping[str, Any]) -> Run:
    """A run from what stands in the file."""
    calls = {name: Call(**call) for name, call in plain["calls"].items()}
    kept = ("slots", "lanes", "trials", "seconds", "cpu")
    return Run(**{name: plain[name] for name in kept}, calls=calls, late_s=tuple(plain["late_s"]))


def seconds(value: float) -> str:
    """Seconds for people: ``3.2 ms``, ``0.41 s``, ``12 s``."""
    if value < 0.1:
        return f"{1e3 * value:.2g} ms"
    return f"{value:.2g} s" if value < 100 else f"{value:.0f} s"


def page(found: Mapping[str, Any]) -> str:
    """All tables of what there is."""
    parts = {"runner": _runner, "clock": _clock, "dask": _dask, "growth": _growth, "simulated": _simulated}
    return "\n".join(f"## {name}\n\n{part(found[name])}" for name, part in parts.items() if name in found)


def _runner(found: Mapping[str, Any]) -> str:
    rows = []
    for kind, plain in found["runs"].items():
        for one in plain:
            of = run(one)
            calls = [of.calls[name] for name in ("claim", "record", "counts", "report")]
            each = [seconds(call.cpu / call.times) if call.times else "-" for call in calls]
            rows.append((kind, str(of.slots), str(one["together"]), *each, f"{of.rate_cpu:,.0f}", f"{of.stretch:.1f}"))
    heading = ("database", "under way", "back at a time", "claim", "record", "counts", "report", "trials a CPU s", "x")
    told = "; ".join(
        f"{kind}: " + ", ".join(f"{many:.3g} {name}" for name, many in sorted(each.items()))
        for kind, each in found["statements"].items()
    )
    return f"{markdown(heading, rows)}\na trial, {told}\n"


def _clock(found: Mapping[str, Any]) -> str:
    rows = []
    for kind, plain in found.items():
        for one in plain:
            of = run(one)
            rows.append((kind, str(of.slots), f"{of.rate:.3g}", f"{one.get('predicted', 0):.3g}", *_late(of)))
    heading = ("database", "workers", "trials/s", "model", "late, median", "late, 95 of 100", "a call, x its CPU time")
    return markdown(heading, rows)


def _late(of: Run) -> tuple[str, str, str]:
    return seconds(of.late_s[0]), seconds(of.late_s[1]), f"{of.stretch:.1f}"


def _dask(found: Mapping[str, Any]) -> str:
    rows = []
    for plain in found.values():
        for one in plain:
            of = run(one)
            batches = max(of.trials / of.lanes, 1)
            workers = sum(cpu for name, cpu in of.cpu.items() if name.startswith("workers"))
            cpu = [of.cpu["runner"], of.cpu["scheduler"], workers]
            cells = [f"{1e3 * each / batches:.1f} ms" for each in cpu]
            share = f"{of.cpu['scheduler'] / of.seconds:.0%}"
            rate = (f"{of.rate:.3g}", f"{one.get('predicted', 0):.3g}")
            rows.append((str(of.slots), *rate, *_late(of), *cells, share))
    heading = ("workers", "trials/s", "model", "late, median", "late, 95 of 100", "a call, x its CPU time")
    return markdown((*heading, "runner/batch", "scheduler/batch", "workers/batch", "scheduler, of a core"), rows)


def _growth(found: Mapping[str, Any]) -> str:
    tables = []
    for kind, grown in found.items():
        heading = (kind, *(f"{one['trials']:,}" for one in grown))
        rows = [(name, *(seconds(one["seconds"][name]) for one in grown)) for name in grown[0]["seconds"]]
        rows.append(("rows", *(f"{one['trials'] * rows_of_trial(one['epochs']):,}" for one in grown)))
        rows.append(("bytes a trial", *(f"{one['size'] / one['trials']:,.0f}" for one in grown)))
        rows.append(("made in", *(seconds(one["made_s"]) for one in grown)))
        tables.append(markdown(heading, rows))
    return "\n".join(tables)


def _simulated(found: Mapping[str, Any]) -> str:
    beyond = found["beyond"]
    medians = sorted({one["seconds"] for one in beyond})
    rows = []
    for kind in found["costs"]:
        for slots in sorted({one["slots"] for one in beyond}):
            of = [one for one in beyond if one["kind"] == kind and one["slots"] == slots]
            cells = {one["seconds"]: f"{one['rate']:.3g} ({one['busy']:.0%})" for one in of}
            rows.append((kind, str(slots), *(cells[median] for median in medians)))
    return markdown(("database", "workers", *(f"{median:.0f} s" for median in medians)), rows)
