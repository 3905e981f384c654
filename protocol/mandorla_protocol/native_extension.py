"""The native extension: whether it is built, and its errors (SPEC 5.5).

Functions on whole columns of labels and table entries use the extension where it is built. They return the
same bytes without it. This is independent of the choice of an engine: with the portable engine too, these
functions use the extension.
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
    """Raise the extension's refusals as CryptoError with the code that the extension names."""
    from . import _native  # noqa: PLC0415 - the extension may be missing

    try:
        yield
    except _native.Refused as refused:
        raise CryptoError(Code[str(refused)]) from None
