"""The choice of an engine (SPEC 5.5)."""

from __future__ import annotations

from ..errors import Code, InputError
from . import Engine
from .portable import PortableEngine


def load_engine(choice: str, threads: int = 1) -> Engine:
    """Return an engine by name; `auto` takes the fastest that is installed.

    `threads` is how many the native engine uses for one batch: 0 for every core.
    Raises InputError(BAD_CONFIG) if there is none of that name, or if it cannot be loaded here.
    """
    if choice not in ("auto", "portable", "native"):
        raise InputError(Code.BAD_CONFIG, f"there is no engine called {choice} here")
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
