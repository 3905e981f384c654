"""Attacks of a server: what a pinned lab may answer to a querier that began a round with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mandorla.v1 import exchange_pb2
from mandorla_node.peers import messages
from mandorla_protocol.epochs import epoch_keys
from mandorla_protocol.session.transcript import CloseStatement
from mandorla_protocol.signatures import sign
from mandorla_protocol.table import Operation, TableCommitment, TableEntry, padding, parts_of
from tests.support.hostile import ENGINE, CommittingLab, HostileLab, Table

from .model import Setup, Trap

ORDER = 2**252 + 27742317777372353535851937790883648493


def altering(method: str, alter: Callable[[Any], Any]) -> Setup:
    """Replace one method's response."""

    def setup(hostile: HostileLab) -> None:
        hostile.answer = lambda name, response: alter(response) if name == method else response

    return setup


def evaluate_as(evaluated: Callable[[bytes], bytes], proof: Callable[[bytes], bytes]) -> Setup:
    return altering(
        "Evaluate",
        lambda r: exchange_pb2.EvaluateResponse(evaluated=evaluated(r.evaluated), proof=proof(r.proof)),
    )


def listing(alter: Callable[[list[TableEntry]], list[TableEntry]]) -> Setup:
    """Send other entries."""
    return altering(
        "ListTags",
        lambda r: messages.parts_to(
            parts_of(alter([e for part in messages.parts_from(r, 0) for e in part.entries()]))
        ),
    )


def part_with(**columns: bytes) -> Setup:
    """Send a page of one part with other columns."""

    def alter(response: exchange_pb2.ListTagsResponse) -> exchange_pb2.ListTagsResponse:
        (part,) = response.parts
        for name, column in columns.items():
            setattr(part, name, column)
        return response

    return altering("ListTags", alter)


def same(value: bytes) -> bytes:
    return value


def swapped(elements: bytes) -> bytes:
    return elements[32:64] + elements[:32] + elements[64:]


def unreduced(proof: bytes) -> bytes:
    response = int.from_bytes(proof[32:], "little") + ORDER
    return proof[:32] + response.to_bytes(32, "little")


def flipped(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


def small_pages(hostile: HostileLab) -> None:
    """Send the table an entry to a page, as many as are asked for."""
    altering("ListTags", lambda r: messages.parts_to(parts_of(entries_of(r)[:1])))(hostile)


def parts_of_one_entry(hostile: HostileLab) -> None:
    """Send each entry of a larger table as a part of its own."""
    entries = sorted(entry for _ in range(3) for entry in padding(0, os.urandom))
    hostile.table = Table([TableEntry(1, Operation.ADD, *entry) for entry in entries])
    altering("ListTags", lambda r: messages.parts_to(part for e in entries_of(r) for part in parts_of([e])))(
        hostile
    )


def entries_of(response: exchange_pb2.ListTagsResponse) -> list[TableEntry]:
    """Return the entries of an honest page."""
    return [entry for part in messages.parts_from(response, 0) for entry in part.entries()]


def another_key(hostile: HostileLab) -> None:
    """Evaluate under another key than the offer's."""
    committed = hostile.offer()
    hostile.keys = epoch_keys(ENGINE, bytes([1] * 32), hostile.epoch)
    hostile.offer = lambda: committed


def proof_of_another_batch(hostile: HostileLab) -> None:
    """Send a proof that holds, of other elements."""
    other = ENGINE.blind(os.urandom(32 * 256), os.urandom(64 * 256))[1]
    _, proof = ENGINE.evaluate_and_prove(hostile.keys, other, os.urandom(64))
    evaluate_as(same, lambda _: proof)(hostile)


def another_table(hostile: HostileLab) -> None:
    """Send another table than the one that was committed to."""
    committed = hostile.offer()
    hostile.offer = lambda: committed
    hostile.table = Table.of_padding()


def doubled_tag(hostile: HostileLab) -> None:
    """Commit to a table in which a tag stands twice."""
    first = hostile.table.entries[0]
    hostile.table = Table([first, replace(first, sealed=bytes(272)), *hostile.table.entries[2:]])


def offering(**changes: Any) -> Setup:
    def setup(hostile: HostileLab) -> None:
        made = replace(hostile.offer(), **changes)
        hostile.offer = lambda: made

    return setup


def stating(signature: bytes | None = None, **change: Any) -> Setup:
    """State another round than there was, at the close."""

    def setup(hostile: HostileLab) -> None:
        honest = hostile.Close

        async def close(request: Any, context: Any) -> Any:
            if request.encoded_statement:
                return exchange_pb2.CloseResponse()
            response = await honest(request, context)
            statement = replace(CloseStatement.decode(response.encoded_statement), **change).encode()
            signed = sign(hostile.home.identity, statement) if signature is None else signature
            return exchange_pb2.CloseResponse(encoded_statement=statement, signature=signed)

        hostile.Close = close

    return setup


TRAPS: tuple[Trap, ...] = (
    Trap(
        "elements-swapped",
        "answers with two elements swapped",
        "SPEC 5.4-1",
        "BAD_PROOF",
        evaluate_as(swapped, same),
    ),
    Trap(
        "elements-repeated",
        "answers with one element 256 times",
        "SPEC 5.4-1",
        "BAD_PROOF",
        evaluate_as(lambda e: e[:32] * 256, same),
    ),
    Trap(
        "identity",
        "answers with the identity",
        "SPEC 5.1-1",
        "BAD_ELEMENT",
        evaluate_as(lambda e: bytes(32) + e[32:], same),
    ),
    Trap(
        "non-canonical",
        "answers with a non-canonical element",
        "SPEC 5.1-1",
        "BAD_ELEMENT",
        evaluate_as(lambda e: b"\xff" * 32 + e[32:], same),
    ),
    Trap(
        "an-element-short",
        "answers with an element less",
        "SPEC 5.4-2",
        "BAD_LENGTH",
        evaluate_as(lambda e: e[:-32], same),
    ),
    Trap(
        "an-element-long",
        "answers with an element more",
        "SPEC 5.4-2",
        "BAD_LENGTH",
        evaluate_as(lambda e: e + e[:32], same),
    ),
    Trap(
        "a-byte-short",
        "answers with a byte less",
        "SPEC 5.4-2",
        "BAD_LENGTH",
        evaluate_as(lambda e: e[:-1], same),
    ),
    Trap(
        "no-elements",
        "answers with no elements",
        "SPEC 5.4-2",
        "BAD_LENGTH",
        evaluate_as(lambda _: b"", same),
    ),
    Trap("no-proof", "answers without a proof", "SPEC 5.4-2", "BAD_LENGTH", evaluate_as(same, lambda _: b"")),
    Trap(
        "proof-with-a-tail",
        "sends a proof with a trailing byte",
        "PITFALLS: trailing data accepted (circl)",
        "BAD_LENGTH",
        evaluate_as(same, lambda p: p + b"\x00"),
    ),
    Trap(
        "challenge-altered",
        "alters the proof's challenge",
        "SPEC 5.4-1",
        "BAD_PROOF",
        evaluate_as(same, flipped),
    ),
    Trap(
        "response-altered",
        "alters the proof's response",
        "SPEC 5.4-1",
        "BAD_PROOF",
        evaluate_as(same, lambda p: p[:32] + flipped(p[32:])),
    ),
    Trap(
        "response-unreduced",
        "sends a scalar that is not reduced",
        "PITFALLS: non-canonical scalars accepted (circl)",
        "BAD_SCALAR",
        evaluate_as(same, unreduced),
    ),
    Trap(
        "empty-page",
        "sends an empty page",
        "SPEC 7.3-2",
        "BAD_TABLE",
        altering("ListTags", lambda r: type(r)()),
    ),
    Trap(
        "an-entry-too-many",
        "sends an entry more than it committed to",
        "SPEC 7.3-2",
        "BAD_TABLE",
        listing(lambda e: e[:-1] + e[-2:]),
    ),
    Trap("unsorted", "sends a version unsorted", "SPEC 7.3-2", "BAD_TABLE", listing(lambda e: e[::-1])),
    Trap(
        "a-page-too-long",
        "sends a page of 8,448 entries",
        "SPEC 9.5",
        "BAD_LENGTH",
        listing(lambda e: e * 33),
    ),
    Trap(
        "operations-short",
        "sends an operation less",
        "SPEC 7.3-2",
        "BAD_TABLE",
        part_with(operations=b"\x01" * 255),
    ),
    Trap(
        "an-unknown-operation",
        "sends unknown operations",
        "SPEC 7.3-2",
        "BAD_TABLE",
        part_with(operations=b"\x03" * 256),
    ),
    Trap(
        "revocations-with-labels",
        "sends revocations with labels",
        "SPEC 7.3-2",
        "BAD_TABLE",
        part_with(operations=b"\x02" * 256),
    ),
    Trap("tags-short", "sends a tag less", "SPEC 7.3-2", "BAD_TABLE", part_with(tags=bytes(16 * 255))),
    Trap(
        "tags-with-a-tail",
        "sends tags with a trailing byte",
        "SPEC 7.3-2",
        "BAD_TABLE",
        part_with(tags=bytes(16 * 256 + 1)),
    ),
    Trap(
        "a-label-too-many",
        "sends a label more",
        "SPEC 7.3-2",
        "BAD_TABLE",
        part_with(sealed_labels=bytes(272 * 257)),
    ),
    Trap(
        "an-empty-part",
        "sends a part without entries",
        "SPEC 7.3-2",
        "BAD_TABLE",
        part_with(operations=b"", tags=b"", sealed_labels=b""),
    ),
    Trap(
        "unsigned-header",
        "agrees without a signature",
        "SPEC 9.4-1",
        "BAD_SIGNATURE",
        altering("Propose", lambda _: exchange_pb2.ProposeResponse()),
    ),
    Trap(
        "no-offer",
        "offers nothing",
        "SPEC 9.2",
        "BAD_ENCODING",
        altering("Hello", lambda _: exchange_pb2.HelloResponse()),
    ),
    Trap(
        "offer-with-a-tail",
        "makes an offer with a trailing byte",
        "SPEC 3.1",
        "BAD_ENCODING",
        altering("Hello", lambda r: type(r)(encoded_offer=r.encoded_offer + b"x")),
    ),
    Trap(
        "nothing-stated",
        "states nothing at the end",
        "SPEC 9.7-1",
        "BAD_ENCODING",
        altering("Close", lambda r: r),
    ),
    Trap("small-pages", "sends its table an entry to a page", "SPEC 7.3-2", "BAD_TABLE", small_pages),
    Trap("many-parts", "sends each entry as a part", "SPEC 9.5", "BAD_LENGTH", parts_of_one_entry),
    Trap(
        "empty-parts",
        "sends a million empty parts",
        "SPEC 9.5",
        "BAD_LENGTH",
        altering("ListTags", lambda r: type(r).FromString(b"\n\x00" * 1_000_000)),
    ),
    Trap("another-key", "evaluates under another key", "SPEC 5.3-2, 5.4-1", "BAD_PROOF", another_key),
    Trap("proof-replayed", "sends another batch's proof", "SPEC 5.4-1", "BAD_PROOF", proof_of_another_batch),
    Trap("table-rewritten", "sends another table", "SPEC 7.3-3", "TABLE_MISMATCH", another_table),
    Trap("tag-doubled", "lists a tag twice", "SPEC 7.3-2", "BAD_TABLE", doubled_tag),
    Trap("offer-cap-too-small", "offers too small a cap", "SPEC 10.1-1", "CAP_EXCEEDED", offering(cap=10)),
    Trap(
        "offer-epoch-zero",
        "offers an epoch without number",
        "SPEC 9.3-1",
        "BAD_HEADER",
        offering(epoch_number=0),
    ),
    Trap(
        "offer-cap-over-every-limit",
        "offers a cap of 2^40",
        "SPEC 9.3-1",
        "BAD_HEADER",
        offering(cap=2**40, budget=2**40),
    ),
    Trap(
        "offer-table-over-policy",
        "offers a table larger than the victim reads",
        "SPEC 12.8",
        "POLICY_REFUSED",
        offering(table=TableCommitment(1, 2**27, bytes(32))),
    ),
    *[
        Trap(f"close-{name}", f"states {name}", "SPEC 9.7-1", code, setup, CommittingLab)
        for name, code, setup in (
            ("another header", "TRANSCRIPT_MISMATCH", stating(header_digest=bytes(32))),
            ("another half of the victim's", "TRANSCRIPT_MISMATCH", stating(initiator_half=bytes(32))),
            ("another half of its own", "TRANSCRIPT_MISMATCH", stating(responder_half=bytes(32))),
            ("a commit without a signature", "BAD_SIGNATURE", stating(bytes(64))),
        )
    ],
)
