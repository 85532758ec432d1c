"""The door: ``hpsearch`` and ``python -m hpsearch``. Errors become one line and an exit code here."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import textwrap

STOPPED = "stopped at once; what was recorded stays, and the same command goes on"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; by default those of this process.

    Returns:
        0, or 2 for bad input, 1 for a failure, 130 after Ctrl-C.
    """
    _open_streams()
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    thresholds = gc.get_threshold()
    try:
        return _run([argument for argument in given if argument != "--debug"])
    except KeyboardInterrupt:
        return _complain(STOPPED, 130)
    except BrokenPipeError:
        # The reader of our output has left (`hpsearch trials | head`): nothing to say, and nobody to say it to.
        _drop_output()
        return 1
    except Exception as error:
        if debug:
            raise
        return _explain(error, given)
    finally:
        gc.set_threshold(*thresholds)


def _run(arguments: list[str]) -> int:
    # What a command loads and reads lives until its end: looking through it for garbage every 700 objects costs a
    # tenth of a second, and finds none.
    gc.set_threshold(100_000, 20, 20)
    # Inside the door's guard: importing takes long enough for a Ctrl-C.
    from hpsearch.executors import blas

    blas.pin()
    from hpsearch.cli.app import command_line

    code = command_line().main(args=arguments, prog_name="hpsearch", standalone_mode=False)
    sys.stdout.flush()
    # Typer makes exit code 130 of a KeyboardInterrupt and says nothing.
    return _complain(STOPPED, 130) if code == 130 else code if isinstance(code, int) else 0


def _explain(error: Exception, given: list[str]) -> int:
    import typer

    from hpsearch.errors import HpsearchError

    # Click's own base class of usage errors, wherever this Typer keeps its Click.
    if isinstance(error, typer.BadParameter.__mro__[2]):
        from hpsearch.cli.usage import usage

        return _complain(usage(error, given), 2)
    if isinstance(error, HpsearchError):
        from hpsearch.cli.render import message

        return _complain(message(error), error.exit_code)
    if isinstance(error, typer.Abort):
        return _complain(STOPPED, 130)
    if isinstance(error, MemoryError):
        return _complain("out of memory; try fewer --jobs or --lanes", 1)
    if isinstance(error, OSError):
        _drop_output()
        return _complain(f"the system refused: {error}", 1)
    what = f"{type(error).__name__}: {error}"
    return _complain(f"unexpected {what} (this is a defect of hpsearch; --debug shows where)", 1)


def _open_streams() -> None:
    # A shell may close them (`>&-`); then Python has None for a stream, which nobody downstream expects.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process


def _drop_output() -> None:
    """Let what is still to be written go nowhere; flushing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, code: int) -> int:
    line = f"hpsearch: {' '.join(message.split())}"
    if sys.stderr.isatty():  # one line, wrapped between words for people
        line = textwrap.fill(line, shutil.get_terminal_size().columns, break_on_hyphens=False)
    # A name that is not text, such as a file's in another encoding, must not stop its own error message.
    print(line.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
