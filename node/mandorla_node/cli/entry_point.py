"""The start and the end of a command: its arguments, and its exit status."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePath
from pkgutil import resolve_name
from typing import Final, NoReturn

from mandorla_protocol.errors import Code, MandorlaError, NodeError

from ..crypto.library_copy import remove_library_copy
from . import completion
from .root import build

_COLLECT_EVERY: Final = 200_000


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command, and exit with its status: 0, or that of the error's code (SPEC 11)."""
    if arguments is None:
        # A command makes many objects that stay and few cycles: collecting takes a tenth of its start.
        gc.set_threshold(_COLLECT_EVERY)
        arguments = sys.argv[1:]
    completing = completion.requested()
    try:
        with completion.errors_hidden() if completing else _errors_reported():
            if completing:
                completion.join_split_options()
            build()(args=list(arguments), prog_name="mandorla")
    finally:
        remove_library_copy()
    sys.exit(0)


@contextmanager
def _errors_reported() -> Iterator[None]:
    """Print an error that is raised inside, and exit with its status."""
    try:
        yield
    except MandorlaError as error:
        _exit_with(error)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # The reader of the output has closed it: the interpreter must not try to flush the rest.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        # The exception's own text may quote an indicator: only its place in the code is shown.
        _exit_with(NodeError(Code.INTERNAL, _origin(error)))


def _exit_with(error: MandorlaError) -> NoReturn:
    # Rich is loaded only when there is an error to print: a completion prints none.
    resolve_name("mandorla_node.cli.error_report:show_error")(error)
    sys.exit(error.code.info.exit_status)


def _origin(error: BaseException) -> str:
    """Return an exception's type, and the file and line that raised it."""
    trace = error.__traceback__
    where = "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f"{PurePath(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} in {where}"
