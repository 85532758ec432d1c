"""``hpsearch data``, ``init`` and ``check``: data sets and study files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import numpy as np

from hpsearch.cli import options
from hpsearch.cli.options import FILE, Format, Group
from hpsearch.cli.render import emit, emit_record, note, say, terminal
from hpsearch.data import KNOWN, fetch, load, split, whereabouts
from hpsearch.errors import BadInput
from hpsearch.exchange.drafts import draft
from hpsearch.exchange.sweeps import read_sweep
from hpsearch.objectives.kinds import DEFAULT
from hpsearch.records import Action, Argument, Direction
from hpsearch.reports.tables import by_column
from hpsearch.search.pruning import plan_of, pruning_words, unused_words
from hpsearch.search.stage import check_counts
from hpsearch.search.workflow import check_pruner, cores, estimate
from hpsearch.space import Int, describe, shown, without_range
from hpsearch.study_file import find, shipped, write_study
from hpsearch.text import counted, duration, listed
from hpsearch.wording import command, worded

if TYPE_CHECKING:
    from hpsearch.data import Dataset
    from hpsearch.space import Value

_MOST = 20_000  # so many examples of a user's data, at most, are divided by default: a stage takes minutes then
_OF_FILE = (
    click.option("--label", help="The column of the labels in a table. [default: guessed]"),
    click.option("--header/--no-header", default=None, help="Whether a table has names on top. [default: noticed]"),
    click.option("--encoding", help="Of a table of text, as cp949. [default: utf-8]"),
    click.option("--resize", type=int, help="Scale pictures to this height and width."),
)


def _of_file(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say how a file of data is read."""
    for add in reversed(_OF_FILE):
        function = add(function)
    return function


@click.command()
@click.argument("name", required=False, help="Name of the search; the file is studies/NAME.toml.")
@click.option("--data", "what", help="A file or folder to search on. [default: the data set mnist-10k]")
@_of_file
@click.option("--function", help="Search the parameters of a Python function: train.py:objective.")
@click.option("--command", "line", help='Of a command: "python train.py --lr {lr}".')
@click.option("--from", "sweep", type=FILE, help="Of a W&B sweep: its YAML file. [default name: the sweep's]")
@click.option(
    "--range", "ranges", multiple=True, help="Sample lr=1e-5:1e-1:log, units=16:256 or act=relu,tanh; may be repeated."
)
@click.option("--direction", type=click.Choice(get_args(Direction)), help="Which scores are better.")
@click.option("--force/--no-force", default=False, help="Overwrite a file that exists.")
@options.output
def init(
    name: str | None,
    what: str | None,
    function: str | None,
    line: str | None,
    sweep: Path | None,
    ranges: Sequence[str],
    direction: Direction | None,
    force: bool,
    output: Format,
    **of_file: Any,
) -> None:
    """Write a commented study file to begin from.

    It is for the built-in network, or with --function, --command or --from for an objective of your own.
    Of a study that ships with hpsearch (mnist, optimizers) it is a copy, to change.
    """
    of_file = {key: value for key, value in of_file.items() if value is not None}
    sources = {"data": what, "function": function, "command": line, "from": sweep}
    given = [Argument(key) for key, value in sources.items() if value is not None]
    if len(given) > 1:
        raise BadInput("{} and {}: a search has one objective; give one of them", *given[:2])
    if of_file and what is None:
        raise BadInput(f"--{next(iter(of_file))} says how --data is read; give --data FILE, too")
    if name is None and sweep is None:
        raise BadInput("NAME is missing: the name of the search, whose file is studies/NAME.toml")
    if (ranges or direction) and function is None and line is None:
        option = Argument("ranges" if ranges else "direction")
        raise BadInput("{} goes with {} or {}", option, Argument("function"), Argument("command"))
    read, missing = "", list[str]()
    if sweep is not None or function is not None or line is not None:
        begun = (
            draft(name or "", function=function, command=line, ranges=ranges, direction=direction)
            if sweep is None
            else read_sweep(sweep, name)
        )
        name, text, notes, missing = begun.name, begun.text(), begun.notes, begun.missing
    elif what is None and name in (files := shipped()):  # what `start NAME` runs without a file
        text, read, notes = files[name].read_text(encoding="utf-8"), f"{name} ships with hpsearch: a copy of it", []
    else:
        section, read, notes = (None, "", list[str]()) if what is None else _of_data(what, of_file)
        text = DEFAULT.template(name or "", section)
    path = write_study(name or "", text, force=force)
    for words in notes:
        note(words)
    if output != "table":
        emit_record({"search": name, "path": path, "notes": notes, "missing": missing}, output)
        return
    if read:
        say(read)
    say(f"wrote {path}")
    to_do = f"add {' and '.join(missing)}" if missing else "edit it"
    say(f"{to_do}, then: {command(Action('check', {'path': path}))}")
    say(f"{'':{len(to_do)}}        hpsearch start {name}")


def _of_data(what: str, of_file: dict[str, Any]) -> tuple[dict[str, Any], str, list[str]]:
    """Return the keys of ``[data]`` for a file or folder, what was read, and notes."""
    section: dict[str, Any] = {"path": what, **of_file}
    if not (text := " ".join(map(str, section.values()))).isprintable():
        raise BadInput(f"a study file cannot hold {text!r}; give it a plain name")
    dataset = load(path=Path(what), **of_file)
    tested = 0 if dataset.labels_test is None else len(dataset.labels_test)
    parts: dict[str, Any] = {"train": 0.8 if tested else 0.6, "validation": 0.2, "test": tested or 0.2}
    if len(dataset.x) > _MOST:
        parts = {part: int(_MOST * of) if isinstance(of, float) else of for part, of in parts.items()}
    notes = split(dataset, **parts, seed=0).notes  # and refused here, where too few
    read = f"read {what}: {_summary(dataset)}, {counted(dataset.classes, 'class')}"
    return section | parts, read, list(map(worded, notes))


@click.command()
@click.argument("study", required=False, help="Study file, or its name. [default: mnist]")
@click.option("--trials", type=int, help="Trials a stage. [default: the study file's]")
@options.jobs
@options.pruner
@options.data_dir
@options.output
def check(
    study: str | None, trials: int | None, jobs: int | None, pruner: str | None, data_dir: Path | None, output: Format
) -> None:
    """Validate a study file and say what a stage of it would do and cost."""
    check_counts(trials=trials, jobs=jobs)
    check_pruner(pruner)
    file = find(study)
    if pruner is not None:
        file = file.with_pruning(pruner)
    examples = file.load(data_dir=data_dir)
    jobs = jobs or cores()
    trials = trials or file.trials.count
    cost, seconds = estimate(file, examples, trials=trials, jobs=jobs)
    for text in (*map(worded, examples.notes), unused_words(file), *map(_lacks_range, without_range(file.space))):
        if text is not None:
            note(text)
    if output != "table":
        record = {
            "search": file.name,
            "data_fingerprint": examples.fingerprint,
            "preprocessing": dict(examples.facts),
            **cost.facts,
            "seconds_per_trial": cost.seconds_per_trial,
            "trials": trials,
            "jobs": jobs,
            "lanes": cost.lanes,
            "seconds": seconds,
            "study_file": file.to_dict(),
        }
        emit_record(record, output)
        return
    words = dict(cost.words)
    goal, of_trial = words.pop("objective"), words.pop("a trial")
    lines = {
        "search": file.name,
        **words,
        **{
            f"  {name}": f"{describe(of)}{', whole numbers' if isinstance(of, Int) else ''}{file.only_where(name)}"
            f"{', scientific' if of.role == 'scientific' else ''}"
            for name, of in file.space.items()
        },
        **({"constraints": "; ".join(file.constraints)} if file.constraints else {}),
        **({"sampler": file.trials.sampler} if file.trials.sampler != "random" else {}),
        "objective": goal,
        "pruning": pruning_words(plan_of(file), trials),
        "a trial": of_trial,
        "a stage": f"{counted(trials, 'trial')}, {counted(jobs, 'process')}, "
        f"{counted(cost.lanes, 'lane')}: {'no forecast' if seconds is None else f'about {duration(seconds)}'}",
    }
    for title, text in lines.items():
        say(f"{title:<16}{text}", hanging=16)


def _lacks_range(of: tuple[str, str, list[Value]]) -> str:
    name, other, choices = of
    return f"{name} has no range for {other} = {listed(list(map(shown, choices)))}: such trials are without {name}"


@click.group(cls=Group)
def data() -> None:
    """List, download and show data sets."""


@data.command("list")
@options.data_dir
@options.output
def list_data_sets(data_dir: Path | None, output: Format) -> None:
    """List the data sets that have a name, and whether they are here."""
    rows: list[dict[str, object]] = []
    for name, known in KNOWN.items():
        where = whereabouts(name, data_dir)
        rows.append(
            {
                "name": name,
                "images": known.images,
                "test_images": known.test_images,
                "shape": "x".join(map(str, known.shape)),
                "classes": known.classes,
                "here": where is not None,
                "where": worded(known.remedy) if where is None else where,
            }
        )
    _print_rows(rows, output)


@data.command("fetch")
@click.argument("name", help="mnist or fashion-mnist.")
@click.option("--data-dir", type=FILE, help="Put it into the subfolder NAME of this folder.")
@click.option("--base-url", hidden=True, help="Download from a mirror.")
@options.output
def fetch_data_set(name: str, data_dir: Path | None, base_url: str | None, output: Format) -> None:
    """Download a data set; files that are here already are not downloaded again."""
    bars: dict[str, int] = {}
    # On stderr, so that stdout holds the folder and nothing else.
    with terminal().download_bar() as progress:

        def advance(file: str, here: int, size: int) -> None:
            if file not in bars:
                bars[file] = progress.add_task(file, total=size or None)
            progress.update(bars[file], completed=here, total=size or None)

        folder = fetch(name, data_dir=data_dir, base_url=base_url, progress=advance)
    if output == "table":
        say(f"{name} is in {folder}")
    else:
        emit_record({"name": name, "folder": folder}, output)


@data.command("show")
@click.argument("what", metavar="NAME_OR_PATH", help="A name, a file, or a folder of IDX files or pictures.")
@_of_file
@options.data_dir
@options.output
def show_data_set(what: str, data_dir: Path | None, output: Format, **of_file: Any) -> None:
    """Show how many examples a data set has, their shape, and how many of each class."""
    # A word that is no path is a name, so that the message about a misspelt name suggests one.
    path = Path(what)
    is_path = what not in KNOWN and (bool(path.suffix) or os.sep in what or path.exists())
    source = {"path": path} if is_path else {"name": what, "data_dir": data_dir}
    dataset = load(**source, **of_file)
    for sentence in dataset.said():
        note(worded(sentence))
    if output == "table":
        say(f"{dataset.name} ({dataset.source})")
        say(_summary(dataset))
        say(counted(dataset.classes, "class"))
    _print_rows(_class_rows(dataset), output)


def _summary(dataset: Dataset) -> str:
    test = "" if dataset.x_test is None else f" and {len(dataset.x_test)} of its own test part"
    return f"{counted(len(dataset.x), 'example')}{test}, each {dataset.form}"


def _class_rows(dataset: Dataset) -> list[dict[str, object]]:
    counts = np.bincount(dataset.labels, minlength=dataset.classes)
    test_labels = np.array([], dtype=np.int64) if dataset.labels_test is None else dataset.labels_test
    test_counts = np.bincount(test_labels, minlength=dataset.classes)
    return [
        {"class": name, "examples": int(count), "test_examples": int(test_count)}
        for name, count, test_count in zip(dataset.class_names, counts, test_counts, strict=True)
    ]


def _print_rows(rows: Sequence[dict[str, object]], output: Format) -> None:
    columns = by_column(rows)
    emit({name.replace("_", " "): cells for name, cells in columns.items()} if output == "table" else columns, output)
