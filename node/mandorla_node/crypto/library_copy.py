"""The copy of libsodium that rbcl leaves in the temporary folder."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def remove_library_copy() -> None:
    """Remove the copy of libsodium, 2.8 MB, that rbcl leaves in the temporary folder for each process.

    The process has loaded the library, so it does not need the file. A library elsewhere is not such a copy.
    """
    module = sys.modules.get("rbcl._sodium")
    library = getattr(getattr(module, "_sodium", None), "_name", None)
    if library is not None and Path(library).parent == Path(tempfile.gettempdir()):
        Path(library).unlink(missing_ok=True)
