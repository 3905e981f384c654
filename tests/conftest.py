"""Fixtures of all tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from mandorla_node.cli import main
from mandorla_node.crypto.library_copy import remove_library_copy
from tests.support.commands import Ran, Run
from tests.support.databases import BACKENDS, Databases, of_kind, stop_server

# The time of an example depends on the machine; pytest's timeout ends a test that hangs.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for Unix sockets below it."""
    path = Path(tempfile.mkdtemp(prefix="md-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process."""

    def command(*arguments: object) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Ran(int(caught.value.code or 0), captured.out, captured.err)

    return command


@pytest.fixture(params=BACKENDS)
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Each kind of database that can hold a store: the test runs once with each."""
    yield from of_kind(request.param)


def pytest_sessionfinish() -> None:
    """Remove the copy of libsodium that the portable engine's library unpacks in each process."""
    stop_server()
    remove_library_copy()
