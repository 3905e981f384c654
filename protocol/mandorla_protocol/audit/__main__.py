"""`python -m mandorla_protocol.audit FILE...`: verify bundles, with the protocol's dependencies alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from ..engine import Engine, load_engine
from ..errors import Code, InputError, MandorlaError
from .records import read_frames
from .report import as_tree, tell
from .verify import BundleReader, Verdict, join


def verify_files(paths: Sequence[str], engine: Engine) -> Verdict:
    """Verify files together.

    Raises InputError(BAD_FILE) for one that cannot be read as a bundle at all.
    """
    readers = []
    for path in paths:
        reader = BundleReader(path, engine)
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - the protocol does without pathlib
                reader.read(read_frames(file.read))
        except OSError as error:
            raise InputError(Code.BAD_FILE, f"{path}: {error.strerror}") from None
        except InputError as error:
            raise InputError(error.code, f"{path}: {error.detail}") from None
        readers.append(reader)
    return join(readers)


def main(arguments: Sequence[str]) -> int:
    """Verify the files named, print the verdict, and return the exit status (SPEC 11)."""
    paths = [argument for argument in arguments if argument != "--json"]
    if not paths:
        sys.stderr.write("usage: python -m mandorla_protocol.audit [--json] FILE...\n")
        return Code.BAD_INPUT.info.exit_status
    try:
        verdict = verify_files(paths, load_engine("auto", 0))
    except MandorlaError as error:
        sys.stderr.write(error.diagnostics() + "\n")
        return error.code.info.exit_status
    if "--json" in arguments:
        sys.stdout.write(json.dumps(as_tree(verdict), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(tell(verdict)) + "\n")
    return 0 if verdict.holds else Code.CHECK_FAILED.info.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
