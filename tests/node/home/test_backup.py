"""A backup is a home as it was; a home that was restored does nothing twice that it did before."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import shutil
import stat
import tarfile
import threading
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from mandorla_node.home.backup import back_up, restore
from mandorla_node.home.folder import Home
from mandorla_node.home.key_kinds import SourceKind
from mandorla_node.home.key_sources import KeySource
from mandorla_protocol.errors import Code, MandorlaError, NodeError
from mandorla_protocol.log.entries import KeyEpochBegun, KeyEpochEnded, PeerCosigned
from tests.support.commands import Run
from tests.support.databases import Databases
from tests.support.labs import (
    addresses,
    code_of,
    free_port,
    ingest,
    log_of,
    make_home,
    make_labs,
    matched,
    run_round,
    serving,
)
from tests.support.stores import moved

NOON = 1_900_000_000


def numbers(home: Home) -> list[int]:
    """Return the numbers of the key epochs that a home began, in order."""
    return [entry.epoch.number for entry in log_of(home) if isinstance(entry, KeyEpochBegun)]


def rounds(*homes: Home, count: int = 1) -> None:
    async def journey() -> None:
        async with serving(*homes) as (at_a, _):
            for _ in range(count):
                assert (await run_round(at_a, "lab-b")).outcome == "committed"

    asyncio.run(journey())


def refusal(home: Home, *others: Home, peer: str = "lab-b") -> str:
    """Return the code with which a round does not begin."""

    async def journey() -> str:
        async with serving(home, *others) as (at_home, *_):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await run_round(at_home, peer)
            return code_of(caught.value)

    return asyncio.run(journey())


@pytest.fixture
def labs(folder: Path) -> list[Home]:
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(5)))
    ingest(b, addresses(range(3, 9)))
    return [a, b]


@pytest.mark.spec("5.2-4")
def test_a_restored_lab_goes_on_with_new_keys_and_keeps_what_it_knew(
    folder: Path, run: Run, labs: list[Home]
) -> None:
    a, b = labs
    rounds(a, b)
    before = numbers(a)
    assert before == [1]
    file = folder / "a.backup"
    assert run("backup", "--home", a.path, "-o", file).status == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shutil.rmtree(a.path)
    ran = run("restore", file, a.path, "--json")
    assert (ran.status, json.loads(ran.out)["epochs_ended"]) == (0, 1)
    again = Home.open(a.path)
    assert again.card == a.card
    assert isinstance(log_of(again)[-1], KeyEpochEnded)

    async def journey() -> None:
        async with serving(again, b) as (at_a, _):
            assert await matched(at_a) == addresses([3, 4])
            result = await run_round(at_a, "lab-b")
            assert (result.outcome, result.matches, result.new_matches) == ("committed", 2, 0)

    asyncio.run(journey())
    first, second = numbers(again)
    assert first == 1
    assert second > NOON - 10**9, "not 2, which the node may have used after the backup"


@pytest.mark.spec("18.3-3")
def test_a_backup_that_is_behind_what_a_peer_saw_shows_nothing(folder: Path, labs: list[Home]) -> None:
    a, b = labs
    rounds(a, b)
    back_up(a, folder / "a.backup")
    rounds(a, b)
    shutil.rmtree(a.path)
    restore(folder / "a.backup", a.path)
    again = Home.open(a.path)
    seen = [entry for entry in log_of(b) if isinstance(entry, PeerCosigned)]
    assert refusal(again, b) == "STORE_FAILED"
    assert refusal(b, again, peer="lab-a") == "STORE_FAILED"
    assert [entry for entry in log_of(b) if isinstance(entry, PeerCosigned)] == seen
    with closing(b.open_store()) as store:
        assert not store.peers.get("lab-a").caught


@pytest.mark.spec("18.3-4")
def test_no_peer_is_shown_a_restored_log_before_all_were_asked(folder: Path) -> None:
    """What one peer saw, the others cannot say."""
    a, b, c = make_labs(folder, "lab-a", "lab-b", "lab-c")
    ingest(a, addresses(range(5)))

    async def with_all() -> None:
        async with serving(a, b, c) as (at_a, _, _):
            for peer in ("lab-b", "lab-c"):
                assert (await run_round(at_a, peer)).outcome == "committed"

    asyncio.run(with_all())
    back_up(a, folder / "a.backup")
    shutil.rmtree(a.path)
    restore(folder / "a.backup", a.path)
    again = Home.open(a.path)
    seen = len(log_of(b))
    assert refusal(again, b) == "PEER_UNAVAILABLE"
    assert len(log_of(b)) == seen

    async def once_it_is_back() -> None:
        async with serving(again, b, c) as (at_a, _, _):
            for peer in ("lab-c", "lab-b"):
                assert (await run_round(at_a, peer)).outcome == "committed"

    asyncio.run(once_it_is_back())


def test_epochs_of_peers_that_the_backup_does_not_know_of_begin_beyond_too(
    folder: Path, labs: list[Home]
) -> None:
    a, b = labs
    back_up(a, folder / "a.backup")
    rounds(a, b)
    restore(folder / "a.backup", folder / "again", lambda: NOON)
    with closing(Home.open(folder / "again").open_store(lambda: NOON)) as store:
        assert store.holder.next_number(b.card.identity, "infrastructure") == NOON + 1
        assert store.restoration.end_all_epochs(a.card.identity) == 0
        assert store.holder.next_number(b.card.identity, "infrastructure") == NOON + 2**16 + 1, (
            "a clock that stands still brings no number twice"
        )


def test_numbers_of_epochs_that_are_used_up_are_a_typed_error(labs: list[Home]) -> None:
    with closing(labs[0].open_store(lambda: 2**32)) as store:
        with pytest.raises(NodeError) as caught:
            store.restoration.end_all_epochs(labs[0].card.identity)
        assert caught.value.code is Code.STORE_FAILED


def test_a_backup_of_a_home_that_is_written_to_is_one_state_of_it(folder: Path) -> None:
    home = make_home(folder, "lab-a")
    stop = threading.Event()

    def write() -> None:
        # Rounds of ten: each is in the backup as a whole or not at all.
        number = 0
        while not stop.is_set():
            ingest(home, addresses(range(number, number + 10)))
            number += 10

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            back_up(home, folder / f"{number}.backup")
    finally:
        stop.set()
        writer.join()
    for number in range(4):
        restore(folder / f"{number}.backup", folder / f"home-{number}")
        with closing(Home.open(folder / f"home-{number}").open_store()) as store:
            found = sum(count for _, _, count in store.indicators.sizes())
        assert found % 10 == 0


def test_keys_that_are_in_the_clear_are_named_and_sealed_ones_stay_sealed(folder: Path, run: Run) -> None:
    plain = make_home(folder, "lab-a")
    assert set(back_up(plain, folder / "plain").plain_keys) == {"identity.key", "store.key", "tls.key"}
    assert "in the clear" in run("backup", "--home", plain.path, "-o", folder / "plain-2").out
    source = KeySource(SourceKind.FILE, path=folder / "outside.key")
    sealed = Home.create(folder / "sealed", "lab-b", f"127.0.0.1:{free_port()}", source=source)
    assert back_up(sealed, folder / "b.backup").plain_keys == ()
    restore(folder / "b.backup", folder / "again")
    assert Home.open(folder / "again").identity.private_bytes_raw() == sealed.identity.private_bytes_raw()
    assert "in the clear" not in run("backup", "--home", sealed.path, "-o", folder / "b-2").out


def test_a_link_is_left_out_and_named(folder: Path) -> None:
    home = make_home(folder, "lab-a")
    (folder / "elsewhere").write_text("not ours to copy")
    (home.path / "list.txt").symlink_to(folder / "elsewhere")
    report = back_up(home, folder / "a.backup")
    assert report.left_out == ("list.txt",)
    assert "list.txt" not in [one.path for one in report.manifest.files]


def test_no_file_is_written_over(folder: Path, run: Run) -> None:
    home = make_home(folder, "lab-a")
    (folder / "old").write_text("an older backup")
    ran = run("backup", "--home", home.path, "-o", folder / "old")
    assert ran.status == Code.BAD_FILE.info.exit_status
    assert (folder / "old").read_text() == "an older backup"
    back_up(home, folder / "a.backup")
    ran = run("restore", folder / "a.backup", home.path)
    assert ran.status == Code.BAD_HOME.info.exit_status
    assert Home.open(home.path).card == home.card
    ran = run("backup", "--home", home.path, "-o", home.path / "inside")
    assert ran.status == Code.BAD_FILE.info.exit_status


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_a_store_in_postgresql_is_left_to_its_own_means_and_its_epochs_end(
    folder: Path, databases: Databases, labs: list[Home]
) -> None:
    a, b = labs
    a = moved(a, databases.url(folder))
    with closing(a.open_store()) as store:
        store.peers.add(b.card)
    ingest(a, addresses(range(5)))
    rounds(a, b)
    report = back_up(a, folder / "a.backup")
    assert report.manifest.store == "postgresql"
    assert "mandorla.db" not in [one.path for one in report.manifest.files]
    assert restore(folder / "a.backup", folder / "again").ended == 1
    again = Home.open(folder / "again")
    rounds(again, b)
    assert len(numbers(again)) == 2


# Archives of others.

Change = Callable[[dict[str, Any], list[tuple[tarfile.TarInfo, bytes]]], None]


def member(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, len(content)
    made.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    return made, content


def listed(manifest: dict[str, Any], name: str, content: bytes = b"x", **changes: Any) -> None:
    one = {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"].append(one | changes)


def _absolute(manifest: dict[str, Any], members: list[Any]) -> None:
    listed(manifest, "/tmp/md-escaped")
    members.append(member("/tmp/md-escaped"))


def _upwards(manifest: dict[str, Any], members: list[Any]) -> None:
    listed(manifest, "cards/../../escaped")
    members.append(member("cards/../../escaped"))


def _unlisted(manifest: dict[str, Any], members: list[Any]) -> None:
    members.append(member("../escaped"))


def _symbolic_link(manifest: dict[str, Any], members: list[Any]) -> None:
    listed(manifest, "list.txt", b"")
    members.append(member("list.txt", b"", tarfile.SYMTYPE))


def _hard_link(manifest: dict[str, Any], members: list[Any]) -> None:
    listed(manifest, "list.txt", b"")
    members.append(member("list.txt", b"", tarfile.LNKTYPE))


def _device(manifest: dict[str, Any], members: list[Any]) -> None:
    listed(manifest, "null", b"")
    members.append(member("null", b"", tarfile.CHRTYPE))


def _twice(manifest: dict[str, Any], members: list[Any]) -> None:
    members.append(members[-1])


def _listed_twice(manifest: dict[str, Any], members: list[Any]) -> None:
    manifest["files"].append(manifest["files"][0])


def _other_content(manifest: dict[str, Any], members: list[Any]) -> None:
    head, content = members[0]
    members[0] = (head, bytes([content[0] ^ 1]) + content[1:])


def _other_size(manifest: dict[str, Any], members: list[Any]) -> None:
    head, content = members[0]
    head.size += 1
    members[0] = (head, content + b"x")


def _huge(manifest: dict[str, Any], members: list[Any]) -> None:
    listed(manifest, "huge", size=2**49)


def _negative(manifest: dict[str, Any], members: list[Any]) -> None:
    listed(manifest, "negative", size=-1)


def _missing(manifest: dict[str, Any], members: list[Any]) -> None:
    members.pop()


def _no_card(manifest: dict[str, Any], members: list[Any]) -> None:
    manifest["files"] = [one for one in manifest["files"] if one["path"] != "card.json"]
    members[:] = [one for one in members if one[0].name != "card.json"]


def _other_lab(manifest: dict[str, Any], members: list[Any]) -> None:
    manifest["identity"] = "00" * 32


def _newer_format(manifest: dict[str, Any], members: list[Any]) -> None:
    manifest["format"] = "mandorla backup, version 2"


def _many(manifest: dict[str, Any], members: list[Any]) -> None:
    for number in range(10_001):
        listed(manifest, f"file-{number}")


def _folder_in_the_way(manifest: dict[str, Any], members: list[Any]) -> None:
    listed(manifest, "card.json/x")
    members.append(member("card.json/x"))


HOSTILE: list[Change] = [
    _absolute,
    _upwards,
    _unlisted,
    _symbolic_link,
    _hard_link,
    _device,
    _twice,
    _listed_twice,
    _other_content,
    _other_size,
    _huge,
    _negative,
    _missing,
    _no_card,
    _other_lab,
    _newer_format,
    _many,
    _folder_in_the_way,
]


def refused(source: Path, folder: Path) -> Code:
    before = {path.name for path in folder.iterdir()}
    with pytest.raises(MandorlaError) as caught:
        restore(source, folder / "again")
    assert {path.name for path in folder.iterdir()} == before, "nothing is left"
    return caught.value.code


def read(source: Path) -> tuple[dict[str, Any], list[tuple[tarfile.TarInfo, bytes]]]:
    with tarfile.open(source) as archive:
        members = [(one, archive.extractfile(one).read()) for one in archive]  # type: ignore[union-attr]
    return json.loads(members[0][1]), members[1:]


def write(manifest: dict[str, Any], members: list[tuple[tarfile.TarInfo, bytes]], to: Path) -> None:
    with tarfile.open(to, "w:gz") as archive:
        for head, content in (member("manifest.json", json.dumps(manifest).encode()), *members):
            archive.addfile(head, io.BytesIO(content))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backups")
    back_up(make_home(folder, "lab-a"), folder / "good")
    return folder / "good"


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__.strip("_"))
def test_a_hostile_archive_is_refused_and_leaves_nothing(folder: Path, good: Path, change: Change) -> None:
    manifest, members = read(good)
    write(manifest, members, folder / "same")
    restore(folder / "same", folder / "home")
    change(manifest, members)
    write(manifest, members, folder / "bad")
    assert refused(folder / "bad", folder) in {Code.BAD_FILE, Code.BAD_HOME}
    assert not Path("/tmp/md-escaped").exists()


def test_an_archive_that_is_cut_off_or_damaged_is_refused(folder: Path, good: Path) -> None:
    content = good.read_bytes()
    bad = folder / "bad"
    for size in (0, 1, 10, 100, len(content) // 2, len(content) - 9):
        bad.write_bytes(content[:size])
        assert refused(bad, folder) is Code.BAD_FILE
    for place in range(12, len(content), len(content) // 20):
        damaged = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
        with suppress(OSError, EOFError, zlib.error):
            # Among zeros, another distance to copy from gives the same.
            if gzip.decompress(damaged) == gzip.decompress(content):
                continue
        bad.write_bytes(damaged)
        assert refused(bad, folder) is Code.BAD_FILE


def test_a_head_that_claims_gigabytes_costs_no_memory(folder: Path) -> None:
    """`tarfile` would read the extended head of 64 GiB that this bomb begins with."""
    head = tarfile.TarInfo("././@LongLink")
    head.type, head.size = tarfile.GNUTYPE_LONGNAME, 1 << 36
    with gzip.open(folder / "bomb", "wb") as packed:
        packed.write(head.tobuf(tarfile.GNU_FORMAT))
        packed.write(bytes(1 << 22))
    assert refused(folder / "bomb", folder) is Code.BAD_FILE
