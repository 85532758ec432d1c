"""``hpsearch db``: is the database sound, and what is to be done where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.cli.options import Format, FormatOption, Storage, storage_url

if TYPE_CHECKING:
    from hpsearch.store.maintenance.check import Checked

app = typer.Typer(help="Look after the study database: check, repair, backup, vacuum.", no_args_is_help=True)
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def check(storage: Storage = None, output: FormatOption = Format.table) -> None:
    """Look for damage from the file to the scores; nothing is changed. Exit code 1 where something was found."""
    from hpsearch.store.maintenance.check import check as look

    found = look(storage_url(storage))
    _print(found, output)
    if output is Format.table and not found.sound:
        _next(found, storage)
    if not found.sound:
        raise typer.Exit(1)


@app.command()
def repair(
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Copy what can be read of a damaged file to a new one.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="With --salvage: the new file. [default: beside it]", show_default=False),
    ] = None,
    yes: Yes = False,
    no_backup: Annotated[bool, typer.Option("--no-backup", help="Make no copy of the database first.")] = False,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Mend what can be mended without making anything up; the database is copied first."""
    from hpsearch.cli.asking import ask
    from hpsearch.cli.output import emit_object, say
    from hpsearch.errors import BadInput
    from hpsearch.store.maintenance.check import check as look
    from hpsearch.store.maintenance.repair import refuse_hopeless
    from hpsearch.store.maintenance.repair import repair as mend

    if salvage:
        _salvage(storage, out, output)
        return
    if out is not None:
        raise BadInput("--out is for --salvage; a repair mends the database where it is, and copies it first")
    before = look(storage_url(storage))
    refuse_hopeless(before)
    table = output is Format.table
    if table:
        _print(before, output)
    if before.mendable:
        ask("mend what can be mended? (yes/no)", "yes", yes=yes)
    done = mend(storage_url(storage), before, backup=not no_backup)
    if table:
        if done.backup is not None:
            say(f"copied to {done.backup}")
        if before.mendable:
            say("mended" if done.after.sound else "mended in part; what is left:")
        if not done.after.sound and before.mendable:
            _print(done.after, output)
        if before.mendable:
            _run_again(storage)
    else:
        backup = None if done.backup is None else str(done.backup)
        emit_object({"before": before.to_dict(), "backup": backup, "after": done.after.to_dict()})
    if not done.after.sound:
        raise typer.Exit(1)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy is to stand.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Copy the database as it stands at one moment, while others work on it, and check the copy."""
    from hpsearch.cli.output import emit_record, say
    from hpsearch.store.maintenance.copies import backup as copy
    from hpsearch.store.maintenance.copies import megabytes

    size = copy(storage_url(storage), file, force=force)
    if output is Format.table:
        say(f"copied {storage_url(storage)} to {file}: {megabytes(size)}, whole and sound")
    else:
        emit_record({"database": storage_url(storage), "copy": str(file), "bytes": size}, output)


@app.command()
def vacuum(storage: Storage = None, output: FormatOption = Format.table) -> None:
    """Give the space of what was removed back to the disk."""
    from hpsearch.cli.output import emit_record, note, say
    from hpsearch.store.maintenance.copies import megabytes
    from hpsearch.store.maintenance.copies import vacuum as rewrite

    done = rewrite(storage_url(storage))
    if output is Format.table:
        say(f"{storage_url(storage)}: {megabytes(done.before)} before, {megabytes(done.after)} now")
    else:
        emit_record({"database": storage_url(storage), "bytes_before": done.before, "bytes": done.after}, output)
    if not done.emptied:
        note("its log could not be emptied, as somebody uses the database again; SQLite does so when it can")


def _print(found: Checked, output: Format) -> None:
    from hpsearch.cli.output import emit, emit_object, note, say
    from hpsearch.text import counted

    if output is Format.json:
        emit_object(found.to_dict())
        return
    if output is Format.csv:
        rows = [finding.to_dict() for finding in found.findings]
        names = ("kind", "study", "trials", "count", "what", "repair", "advice")
        flat = [{**row, "trials": " ".join(map(str, row["trials"]))} for row in rows]
        emit({name: [row[name] for row in flat] for name in names}, output)
        return
    contents = ""
    if found.trials is not None and found.studies is not None:
        contents = f"{counted(found.studies, 'study')}, {counted(found.trials, 'trial')}: "
    many = len(found.findings)
    said = "sound" if found.sound else f"{many} thing{'s are' if many > 1 else ' is'} wrong"
    say(f"{found.where}: {contents}{said}", hanging=2)
    for finding in found.findings:
        number = f" ({finding.count} in all)" if finding.count > 1 else ""
        say(f"- {finding.where}: {finding.what}{number}", hanging=2)
        if finding.mend is not None:
            say(f"  repair: {finding.mend}", hanging=4)
        elif finding.advice is not None:
            say(f"  no repair: {finding.advice}", hanging=4)
    for text in found.notes:
        note(text)


def _next(found: Checked, storage: str | None) -> None:
    from hpsearch.cli.output import say
    from hpsearch.commands import command_line

    if found.broken:
        say(f"next: {command_line('db', None, storage, 'repair', '--salvage')}")
    elif found.mendable:
        say(f"next: {command_line('db', None, storage, 'repair')}")


def _salvage(storage: str | None, out: Path | None, output: Format) -> None:
    from hpsearch.cli.output import emit, emit_object, note, say
    from hpsearch.commands import command_line
    from hpsearch.store.maintenance.repair import salvage

    done = salvage(storage_url(storage), out)
    rows = [
        {"study": one.study, "kept": one.kept, "of": one.trials, "run_again": one.again, "failed": one.failed}
        for one in done.studies
    ]
    if output is Format.json:
        after = done.after.to_dict()
        lost = {"lost_and_found": done.lost} if done.lost else {}
        emit_object({"database": str(done.target), "studies": rows, "unreadable": lost, "after": after})
    else:
        emit({name: [row[name] for row in rows] for name in ("study", "kept", "of", "run_again", "failed")}, output)
    if output is Format.table:
        say()
        say(f"rows whose table is not known any more: {done.lost or 'none'}", hanging=2)
        say(f"{done.source} is as it was; what was saved is in {done.target}", hanging=2)
        if done.better is not None:
            note(done.better)
        for one in done.studies:
            if not one.stage:
                note(f"{one.study} is no stage any more: some of what it was begun with is lost")
        if not done.after.sound:
            _print(done.after, output)
        if not any(one.stage and one.trials for one in done.studies):
            note("nothing was saved that hpsearch can go on with")
        elif not _run_again(str(done.target)):
            say(f"next: {command_line('status', None, str(done.target))}")
    if not done.after.sound:
        raise typer.Exit(1)


def _run_again(storage: str | None) -> bool:
    """Say what runs those trials again that wait for it; whether any does."""
    import contextlib

    from hpsearch.cli.output import say
    from hpsearch.cli.render import command
    from hpsearch.errors import HpsearchError
    from hpsearch.search.advice import to_run_again
    from hpsearch.store import open_store

    lines: list[str] = []
    # What is left to be mended was said, and may be in the way here: then there is nothing to type.
    with contextlib.suppress(HpsearchError), contextlib.closing(open_store(storage_url(storage))) as store:
        lines = [command(action) for action in to_run_again(store, storage)]
    for line in lines:
        say(f"next: {line}")
    return bool(lines)
