"""``hpsearch db``, ``delete``, ``export`` and ``import``: the study database, and trials to and from other places."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.api import Search, import_trials
from hpsearch.cli import options
from hpsearch.cli.options import FILE, Format, Group
from hpsearch.cli.render import ask, emit, emit_object, emit_record, note, say
from hpsearch.errors import BadInput, HpsearchError
from hpsearch.exchange.layout import all_columns
from hpsearch.records import DEFAULT_STORAGE, Action
from hpsearch.reports.tables import by_column, ranges_table, status_table
from hpsearch.search.stage import to_run_again
from hpsearch.store import open_store
from hpsearch.store.maintenance.check import check as check_database
from hpsearch.store.maintenance.copies import backup as copy
from hpsearch.store.maintenance.copies import megabytes, safe_copy
from hpsearch.store.maintenance.copies import vacuum as rewrite
from hpsearch.store.maintenance.delete import delete as remove
from hpsearch.store.maintenance.delete import plan
from hpsearch.store.maintenance.repair import repair as mend
from hpsearch.store.maintenance.repair import salvage as recover
from hpsearch.text import counted
from hpsearch.wording import command, worded

if TYPE_CHECKING:
    from hpsearch.store.maintenance.check import Checked
    from hpsearch.store.maintenance.delete import Deletion


@click.group(cls=Group)
def db() -> None:
    """Maintain the study database: check, repair, backup, vacuum."""


@db.command()
@options.storage
@options.output
@click.pass_context
def check(ctx: click.Context, storage: str | None, output: Format) -> None:
    """Look for damage, from the file to the scores; nothing is changed.

    Exit code 1 if anything is wrong.
    """
    checked = check_database(_url(storage))
    _print(checked, output)
    if output == "table" and (checked.broken or checked.mendable):
        say(f"next: {command(Action('db repair', {'salvage': checked.broken, 'storage': storage}))}")
    if not checked.sound:
        ctx.exit(1)


@db.command()
@options.flag("--salvage", "Copy what can be read of a damaged file to a new one.")
@click.option("--out", type=FILE, help="With --salvage: the new file. [default: beside it]")
@options.yes
@options.no_backup
@options.storage
@options.output
@click.pass_context
def repair(
    ctx: click.Context, salvage: bool, out: Path | None, yes: bool, no_backup: bool, storage: str | None, output: Format
) -> None:
    """Repair what can be repaired without inventing anything; the database is copied first."""
    if salvage:
        _salvage(ctx, storage, out, output)
        return
    if out is not None:
        raise BadInput("--out is for --salvage; a repair changes the database where it is, and copies it first")
    before = check_database(_url(storage))
    table = output == "table"
    if table and not before.broken:
        _print(before, output)
    if before.mendable:
        ask("repair what can be repaired? (yes/no)", "yes", yes=yes)
    after, copied = mend(_url(storage), before, backup=not no_backup)
    if table:
        if copied is not None:
            say(f"copied to {copied}")
        if before.mendable:
            say("repaired" if after.sound else "repaired in part; what is left:")
            if not after.sound:
                _print(after, output)
            _run_again(storage)
    else:
        emit_object({"before": before.to_dict(), "backup": copied, "after": after.to_dict()})
    if not after.sound:
        ctx.exit(1)


@db.command()
@click.argument("file", type=FILE, help="The file of the copy.")
@options.force
@options.storage
@options.output
def backup(file: Path, force: bool, storage: str | None, output: Format) -> None:
    """Copy the database as it stands at one moment, while others work on it, and check the copy."""
    size = copy(_url(storage), file, force=force)
    if output == "table":
        say(f"copied {_url(storage)} to {file}: {megabytes(size)}, complete and sound")
    else:
        emit_record({"database": _url(storage), "copy": file, "bytes": size}, output)


@db.command()
@options.storage
@options.output
def vacuum(storage: str | None, output: Format) -> None:
    """Return the space of what was removed to the disk."""
    done = rewrite(_url(storage))
    if output == "table":
        say(f"{_url(storage)}: {megabytes(done.before)} before, {megabytes(done.after)} now")
    else:
        emit_record({"database": _url(storage), "bytes_before": done.before, "bytes": done.after}, output)
    if not done.emptied:
        note("its log could not be emptied, as another process uses the database; SQLite does so when it can")


def _url(storage: str | None) -> str:
    return str(storage or DEFAULT_STORAGE)


def _print(checked: Checked, output: Format) -> None:
    if output == "json":
        emit_object(checked.to_dict())
        return
    if output == "csv":
        rows = [{**finding.to_dict(), "trials": " ".join(map(str, finding.trials))} for finding in checked.findings]
        names = ("kind", "study", "trials", "count", "what", "repair", "advice")
        emit({name: [row[name] for row in rows] for name in names}, output)
        return
    contents = ""
    if checked.trials is not None and checked.studies is not None:
        contents = f"{counted(checked.studies, 'study')}, {counted(checked.trials, 'trial')}: "
    say(f"{checked.where}: {contents}{counted(len(checked.findings), 'problem') if checked.findings else 'sound'}")
    for finding in checked.findings:
        number = f" ({finding.count} in all)" if finding.count > 1 else ""
        say(f"- {finding.where}: {finding.what}{number}", hanging=2)
        if finding.mend is not None:
            say(f"  repair: {finding.mend}", hanging=4)
        elif finding.advice is not None:
            say(f"  no repair: {finding.advice}", hanging=4)
    for text in checked.notes:
        note(text)


def _salvage(ctx: click.Context, storage: str | None, out: Path | None, output: Format) -> None:
    done = recover(_url(storage), out)
    rows = [
        {"study": study.study, "kept": study.kept, "of": study.trials, "run_again": study.again, "failed": study.failed}
        for study in done.studies
    ]
    if output == "json":
        lost = {"lost_and_found": done.lost} if done.lost else {}
        emit_object({"database": done.target, "studies": rows, "unreadable": lost, "after": done.after.to_dict()})
    else:
        emit({name: [row[name] for row in rows] for name in ("study", "kept", "of", "run_again", "failed")}, output)
    if output == "table":
        say()
        say(f"rows whose table is unknown: {done.lost or 'none'}", hanging=2)
        say(f"{done.source} is unchanged; what was saved is in {done.target}", hanging=2)
        if done.better is not None:
            note(done.better)
        for study in done.studies:
            if not study.stage:
                note(f"{study.study} is no stage any more: some of its attributes are lost")
        if not done.after.sound:
            _print(done.after, output)
        if not any(study.stage and study.trials for study in done.studies):
            note("nothing was saved that hpsearch can continue")
        elif not _run_again(str(done.target)):
            say(f"next: {command(Action('status', {'storage': str(done.target)}))}")
    if not done.after.sound:
        ctx.exit(1)


def _run_again(storage: str | None) -> bool:
    """Print the commands that run waiting trials again; return whether there are any."""
    actions = []
    # Damage that is left has been printed already, and may prevent reading here.
    with suppress(HpsearchError), closing(open_store(_url(storage))) as store:
        actions = to_run_again(store, storage)
    for action in actions:
        say(f"next: {worded(action)}")
    return bool(actions)


@click.command()
@click.argument("study", help="A stage (mnist/stage-02), a confirmation, or a whole search (mnist).")
@options.flag("--with-descendants", "The stages that were narrowed from it, too.")
@options.yes
@options.no_backup
@options.storage
@options.output
def delete(study: str, with_descendants: bool, yes: bool, no_backup: bool, storage: str | None, output: Format) -> None:
    """Remove a stage, a confirmation or a whole search.

    Its trials are removed with it; the database is copied first.
    """
    planned = plan(_url(storage), study, descendants=with_descendants)
    table = output == "table"
    if table:
        _show(planned)
    ask(f"type {study} to delete it:", study, yes=yes)
    backup = None if no_backup else str(safe_copy(_url(storage), "delete"))
    if table and backup is not None:
        say(f"copied to {backup}")
    remove(_url(storage), planned)
    if table:
        say(f"deleted {study}")
    else:
        deleted = [{"study": removed.name, "trials": removed.trials} for removed in planned.studies]
        emit_record({"deleted": deleted, "backup": backup, "looks": planned.evaluations}, output)
    if planned.evaluations:
        note("the test set of these data has been evaluated on: a new search with them starts with a used test set")


def _show(planned: Deletion) -> None:
    say("to delete:")
    width = max(len(study.name) for study in planned.studies)
    for study in planned.studies:
        reason = f"  ({study.why})" if study.why else ""
        say(f"  {study.name:<{width}}  {study.trials:>5} trials{reason}")
    if planned.evaluations:
        say(f"  the record of {counted(planned.evaluations, 'evaluation')} on the test set")


@click.command()
@options.search_or_stage
@click.option("--out", type=FILE, help="The file: .csv, .parquet or .json.")
@click.option(
    "--format", "form", type=click.Choice(["csv", "parquet", "json"]), help="Its format. [default: as --out ends]"
)
@click.option(
    "--what",
    type=click.Choice(["trials", "curves", "all"]),
    default="all",
    help="A row a trial, a row an epoch of each, or both: then .csv and .parquet are two files.",
)
@options.one_stage
@options.force
@options.flag("--columns", "Only explain the columns.")
@click.option("--to", type=click.Choice(["mlflow", "wandb"]), help="In place of a file: a run of each trial there.")
@click.option("--project", help="With --to: the experiment or project. [default: the search's name]")
@options.storage
def export(
    search: str | None,
    out: Path | None,
    form: str | None,
    what: str,
    stage: int | None,
    force: bool,
    columns: bool,
    to: str | None,
    project: str | None,
    storage: str | None,
) -> None:
    """Write trials and learning curves to a file, or to MLflow or Weights & Biases.

    For pandas, R or a spreadsheet. `hpsearch import` restores the stages from a .parquet or .json file.
    """
    if columns:
        emit(by_column(all_columns()), "json" if form == "json" else "csv" if form == "csv" else "table")
        return
    if project is not None and to is None:
        raise BadInput("--project needs --to; give both, or neither")
    if to is not None:
        if out is not None:
            raise BadInput("--to with --out: a tracker takes the place of a file; leave one out")
        handed = Search(search, storage=storage).export_to(to, project=project, stage=stage)
        known = f", {handed.known} were there already" if handed.known else ""
        say(f"{counted(handed.runs, 'run')} of {handed.project} made in {handed.where or to}{known}")
        return
    if out is None:
        raise BadInput("give --out FILE, such as --out results.csv, .parquet or .json")
    done, left_out = Search(search, storage=storage).export(out, form=form, what=what, stage=stage, force=force)
    rows = [] if what == "curves" else [counted(done.trials, "trial")]
    rows += [] if what == "trials" else [f"{counted(done.points, 'point')} of their curves"]
    stages = ", ".join(done.stages) if len(done.stages) == 1 else counted(len(done.stages), "stage")
    say(f"wrote {' and '.join(rows)} of {stages} to {', '.join(map(str, done.files.values()))}")
    if left_out:
        note(f"not in the export: {', '.join(left_out)}; an import does not know of them")


@click.command("import")
@click.argument(
    "source",
    metavar="FILE_OR_URL",
    help="An export, a table with a score, a folder of Keras Tuner's, or an Optuna storage URL.",
)
@click.option("--name", help="Name of the search. [default: its own]")
@click.option("--study-name", help="Which study of an Optuna storage.")
@click.option("--metric", help="Of a table: the column of the score.")
@click.option("--direction", type=click.Choice(["maximize", "minimize"]), help="Of a table: which scores are better.")
@click.option(
    "--parameter", "parameters", multiple=True, help="Of a table: a column that is a parameter; may be repeated."
)
@click.option(
    "--range", "ranges", multiple=True, help="Of a table: lr=1e-6:1e-2:log or act=relu,tanh; may be repeated."
)
@options.storage
@options.output
def import_(source: str, storage: str | None, output: Format, **request: Any) -> None:
    """Read trials that were run elsewhere as a search.

    From an export, a table, or another Optuna study; the search is a new one.
    """
    search, notes = import_trials(source, storage=storage, **request)
    table = output == "table"
    stages = search.status()
    emit(status_table([(row.stage, row.counts, row.best, row.error) for row in stages], full=not table), output)
    if table:
        say()
        emit(ranges_table([row.stage for row in stages]), output)
        say()
    for text in notes:
        note(text)
    if table:
        say(worded(search.checklist().next.sentence))
