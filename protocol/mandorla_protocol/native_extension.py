"""Whether the native extension is built. What works on whole columns uses it then, and gives the same bytes
without it. This is not the choice of an engine: a node that is told to use the portable one still uses this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

from .errors import Code, CryptoError


def _built() -> bool:
    try:
        import_module("._native", __package__)
    except ImportError:
        return False
    return True


BUILT: Final = _built()


@contextmanager
def typed_errors() -> Iterator[None]:
    """Raise what the extension refuses as an error of the catalogue."""
    from . import _native  # noqa: PLC0415 - it may be missing

    try:
        yield
    except _native.Refused as refused:
        raise CryptoError(Code[str(refused)]) from None
