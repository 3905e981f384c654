"""The choice of an engine (SPEC 5.5)."""

from __future__ import annotations

from ..errors import Code, InputError
from . import Engine
from .portable import PortableEngine


def load_engine(choice: str, threads: int = 1) -> Engine:
    """Return the engine with a name, or for `auto` the fastest engine that is installed.

    `threads` is the number of threads that the native engine uses for one batch; 0 means one for each core.

    Raises InputError: BAD_CONFIG if no engine has the name, or if the engine cannot be loaded.
    """
    if choice not in ("auto", "portable", "native"):
        raise InputError(
            Code.BAD_CONFIG, f"no engine is called {choice}: the engines are auto, native and portable"
        )
    if choice != "portable":
        try:
            from .native import NativeEngine  # noqa: PLC0415 - the extension may be missing

            return NativeEngine(threads)
        except ImportError:
            if choice == "native":
                detail = "the native engine is not built: install Rust (cargo), then install mandorla again"
                raise InputError(Code.BAD_CONFIG, detail) from None
    try:
        return PortableEngine()
    except OSError:
        detail = (
            "the portable engine cannot load libsodium from the temporary folder: TMPDIR has to name one "
            "that can be written, and that is not mounted noexec"
        )
        raise InputError(Code.BAD_CONFIG, detail) from None
