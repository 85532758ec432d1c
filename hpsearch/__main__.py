"""The door: ``hpsearch`` and ``python -m hpsearch``. Errors become one line and an exit code here."""

from __future__ import annotations

import os
import re
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; by default those of this process.

    Returns:
        0, or 2 for bad input, 1 for a failure, 130 after Ctrl-C.
    """
    from hpsearch.executors import blas

    blas.pin()
    import typer

    from hpsearch.cli.app import app
    from hpsearch.errors import HpsearchError

    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    command = typer.main.get_command(app)
    # Click's own base class of usage errors, wherever this Typer keeps its Click.
    usage_error = typer.BadParameter.__mro__[2]
    try:
        code = command.main(
            args=[argument for argument in given if argument != "--debug"],
            prog_name="hpsearch",
            standalone_mode=False,
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except HpsearchError as error:
        if debug:
            raise
        return _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("stopped at once; what was recorded stays, and the same command goes on", 130)
    except BrokenPipeError:
        # The reader of our output has left (`hpsearch trials | head`): nothing to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        if debug:
            raise
        return _complain("out of memory; try fewer --jobs or --lanes", 1)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, usage_error):
            return _complain(_usage(error.format_message()), 2)  # type: ignore[attr-defined]
        return _complain(
            f"unexpected {type(error).__name__}: {error} (this is a defect of hpsearch; --debug shows where)",
            1,
        )


def _usage(message: str) -> str:
    from hpsearch.cli.app import COMMANDS
    from hpsearch.errors import nearest

    unknown = re.match(r"No such command '(.*?)'\.", message)
    if unknown is None:
        return message.rstrip(".")
    return f"no command {unknown[1]!r}{nearest(unknown[1], COMMANDS)}"


def _complain(message: str, code: int) -> int:
    print(f"hpsearch: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
