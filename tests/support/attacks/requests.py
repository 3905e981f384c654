"""Attacks of a client: what a pinned lab may put into each call to a holder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from mandorla.v1 import exchange_pb2
from mandorla_protocol import signatures
from mandorla_protocol.errors import Code
from mandorla_protocol.group import Element
from mandorla_protocol.header import Offer, RoundHeader, RoundMode
from mandorla_protocol.log.checkpoint import Checkpoint, sign_checkpoint
from mandorla_protocol.merkle import hash_leaf
from mandorla_protocol.session.transcript import CloseStatement
from mandorla_protocol.table import TableCommitment
from tests.support.hostile import TIMEOUT, blinded_chunk, hello_request

from .model import ANSWERED, Attack, Field, code_from

Alter = Callable[[RoundHeader], RoundHeader]

CHUNK = blinded_chunk()
SMALLEST = 256


def evaluate(field: Field, header: RoundHeader, index: int, blinded: bytes = CHUNK) -> Awaitable[str]:
    """Ask for a chunk."""
    request = exchange_pb2.EvaluateRequest(round_id=header.round_id, index=index, blinded=blinded)
    return code_from(field.stub.Evaluate(request, timeout=TIMEOUT))


def chunk(name: str, does: str, blinded: bytes, code: Code, rule: str = "SPEC 5.1-1, 5.3-1") -> Attack:
    async def run(field: Field) -> str:
        return await evaluate(field, await field.lab.agree(field.stub), 0, blinded)

    return Attack(f"chunk-{name}", f"sends a chunk {does}", rule, code.name, run)


async def another_chunk_under_the_same_index(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    assert await evaluate(field, header, 0) == ANSWERED
    return await evaluate(field, header, 0, blinded_chunk())


async def chunk_again(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    assert await evaluate(field, header, 0) == ANSWERED
    return await evaluate(field, header, 0)


async def chunk_beyond_the_cap(field: Field) -> str:
    return await evaluate(field, await field.lab.agree(field.stub), 2**31)


async def chunk_of_no_round(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    return await evaluate(field, replace(header, round_id=bytes(16)), 0)


async def chunk_of_a_closed_round(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    await close(field, header, CloseStatement.abort(header.digest(), Code.INTERNAL))
    return await evaluate(field, header, 0)


async def chunk_after_the_statement(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    assert await evaluate(field, header, 0) == ANSWERED
    await field.stub.Close(exchange_pb2.CloseRequest(round_id=header.round_id), timeout=TIMEOUT)
    return await evaluate(field, header, 1, blinded_chunk())


def with_round_id(method: str, request: type[Any], **fields: object) -> Attack:
    async def run(field: Field) -> str:
        await field.lab.agree(field.stub)
        call = getattr(field.stub, method)
        return await code_from(call(request(round_id=b"x", **fields), timeout=TIMEOUT))

    name = f"round-id-short-{method.lower()}"
    return Attack(name, f"calls {method} with a round id of a byte", "SPEC 9-1", "BAD_LENGTH", run)


async def page_beyond_the_table(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    request = exchange_pb2.ListTagsRequest(round_id=header.round_id, start=2**40)
    return await code_from(field.stub.ListTags(request, timeout=TIMEOUT))


async def subscription(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    request = exchange_pb2.SubscribeRequest(round_id=header.round_id, version=1)
    return await code_from(field.stub.Subscribe(request, timeout=TIMEOUT))


def report(name: str, does: str, tags: bytes) -> Attack:
    async def run(field: Field) -> str:
        header = await field.lab.agree(field.stub)
        request = exchange_pb2.ReportRequest(round_id=header.round_id, tags=tags)
        return await code_from(field.stub.Report(request, timeout=TIMEOUT))

    return Attack(f"report-{name}", f"reports {does}", "SPEC 9.8", "BAD_LENGTH", run)


def header(name: str, alter: Alter, code: str, rule: str = "SPEC 9.3-1") -> Attack:
    async def run(field: Field) -> str:
        response = await field.stub.Hello(hello_request(), timeout=TIMEOUT)
        altered = alter(field.lab.compose(Offer.decode(response.encoded_offer)))
        return await code_from(field.stub.Propose(field.lab.sign(altered), timeout=TIMEOUT))

    return Attack(f"header-{name}", f"proposes a header that is wrong: {name}", rule, code, run)


def offer(name: str, code: str, **changes: object) -> Attack:
    def alter(h: RoundHeader) -> RoundHeader:
        made = replace(h.initiator.offer, **changes)  # type: ignore[arg-type]
        return replace(h, initiator=replace(h.initiator, offer=made))

    return header(f"offer-{name}", alter, code)


def victims_offer(name: str, **changes: object) -> Attack:
    def alter(h: RoundHeader) -> RoundHeader:
        made = replace(h.responder.offer, **changes)  # type: ignore[arg-type]
        return replace(h, responder=replace(h.responder, offer=made))

    return header(f"victims-offer-{name}", alter, "BAD_HEADER")


def proposal(name: str, alter: Callable[[bytes, bytes], tuple[bytes, bytes]], code: str) -> Attack:
    async def run(field: Field) -> str:
        response = await field.stub.Hello(hello_request(), timeout=TIMEOUT)
        honest = field.lab.sign(field.lab.compose(Offer.decode(response.encoded_offer)))
        encoded, signature = alter(honest.encoded_header, honest.signature)
        request = exchange_pb2.ProposeRequest(encoded_header=encoded, signature=signature)
        return await code_from(field.stub.Propose(request, timeout=TIMEOUT))

    return Attack(f"proposal-{name}", f"proposes with {name}", "SPEC 9.4-1", code, run)


async def proposal_replayed(field: Field) -> str:
    response = await field.stub.Hello(hello_request(), timeout=TIMEOUT)
    request = field.lab.sign(field.lab.compose(Offer.decode(response.encoded_offer)))
    await field.stub.Propose(request, timeout=TIMEOUT)
    return await code_from(field.stub.Propose(request, timeout=TIMEOUT))


async def proposal_replayed_after_the_end(field: Field) -> str:
    response = await field.stub.Hello(hello_request(), timeout=TIMEOUT)
    header = field.lab.compose(Offer.decode(response.encoded_offer))
    await field.stub.Propose(field.lab.sign(header), timeout=TIMEOUT)
    await close(field, header, CloseStatement.abort(header.digest(), Code.INTERNAL))
    return await code_from(field.stub.Propose(field.lab.sign(header), timeout=TIMEOUT))


def hello(name: str, code: str, **changes: object) -> Attack:
    async def run(field: Field) -> str:
        return await code_from(field.stub.Hello(hello_request(**changes), timeout=TIMEOUT))

    return Attack(f"hello-{name}", f"says Hello with another {name}", "SPEC 9.2", code, run)


async def close(
    field: Field, header: RoundHeader, statement: CloseStatement, signature: bytes | None = None
) -> str:
    """State an end."""
    encoded = statement.encode()
    signed = signatures.sign(field.own.identity, encoded) if signature is None else signature
    request = exchange_pb2.CloseRequest(round_id=header.round_id, encoded_statement=encoded, signature=signed)
    return await code_from(field.stub.Close(request, timeout=TIMEOUT))


def closing(name: str, change: dict[str, Any], code: str, signature: bytes | None = None) -> Attack:
    async def run(field: Field) -> str:
        header = await field.lab.agree(field.stub)
        assert await evaluate(field, header, 0) == ANSWERED
        ask = exchange_pb2.CloseRequest(round_id=header.round_id)
        theirs = await field.stub.Close(ask, timeout=TIMEOUT)
        honest = CloseStatement.decode(theirs.encoded_statement)
        return await close(field, header, replace(honest, **change), signature)

    return Attack(f"close-{name}", f"closes with {name}", "SPEC 9.7-1", code, run, charged=SMALLEST)


async def close_after_an_abort(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    await close(field, header, CloseStatement.abort(header.digest(), Code.INTERNAL))
    return await code_from(
        field.stub.Close(exchange_pb2.CloseRequest(round_id=header.round_id), timeout=TIMEOUT)
    )


async def close_with_a_gap(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    assert await evaluate(field, header, 1) == ANSWERED
    ask = exchange_pb2.CloseRequest(round_id=header.round_id)
    return await code_from(field.stub.Close(ask, timeout=TIMEOUT))


async def abort_of_another_round(field: Field) -> str:
    header = await field.lab.agree(field.stub)
    return await close(field, header, CloseStatement.abort(bytes(32), Code.INTERNAL))


def checkpoint(name: str, code: str, **changes: Any) -> Attack:
    async def run(field: Field) -> str:
        fields = {"origin": field.own.card.log_origin, "size": 1, "root": hash_leaf(b"x")}
        old, proof = changes.get("old_size", 0), changes.get("proof", ())
        fields |= {key: value for key, value in changes.items() if key in fields}
        note = changes.get("note") or sign_checkpoint(field.own.identity, Checkpoint(**fields))
        request = exchange_pb2.AddCheckpointRequest(checkpoint=note, old_size=old, proof=proof)
        return await code_from(field.stub.AddCheckpoint(request, timeout=TIMEOUT))

    return Attack(f"checkpoint-{name}", f"shows a checkpoint: {name}", "SPEC 18.3-2, 18.4-1", code, run)


def flip(value: bytes, index: int = 0) -> bytes:
    """Return bytes of which one bit is another."""
    changed = bytearray(value)
    changed[index] ^= 1
    return bytes(changed)


ATTACKS: tuple[Attack, ...] = (
    chunk("identity", "with the identity", CHUNK[:64] + bytes(32), Code.BAD_ELEMENT),
    chunk("non-canonical", "with a non-canonical element", b"\xff" * 32, Code.BAD_ELEMENT),
    chunk("negative", "with a negative field element", b"\x01" + bytes(31), Code.BAD_ELEMENT),
    chunk("short", "that is a byte short", CHUNK[:-1], Code.BAD_LENGTH),
    chunk("long", "with a trailing byte", CHUNK + b"\x00", Code.BAD_LENGTH),
    chunk("empty", "without an element", b"", Code.BAD_LENGTH),
    chunk("oversized", "of an element too many", CHUNK[:32] * 16_385, Code.BAD_LENGTH, "SPEC 9.5, rule 2"),
    Attack(
        "chunk-index-reused",
        "sends other elements under an index that it used",
        "SPEC 9.5-1",
        "CHUNK_REUSED",
        another_chunk_under_the_same_index,
        charged=SMALLEST,
    ),
    Attack(
        "chunk-replayed",
        "sends a chunk again, which is answered alike and not charged again",
        "SPEC 9.5-1",
        ANSWERED,
        chunk_again,
        charged=SMALLEST,
    ),
    Attack(
        "chunk-beyond-the-cap",
        "uses an index over the cap",
        "SPEC 9.5",
        "CHUNK_OUT_OF_RANGE",
        chunk_beyond_the_cap,
    ),
    Attack("chunk-of-no-round", "names a round that is none", "SPEC 9-1", "UNKNOWN_ROUND", chunk_of_no_round),
    Attack(
        "chunk-of-a-closed-round",
        "asks after its abort",
        "SPEC 9.5",
        "UNKNOWN_ROUND",
        chunk_of_a_closed_round,
    ),
    Attack(
        "chunk-after-the-statement",
        "asks for more after the victim stated what the round was",
        "SPEC 9.7-2",
        "WRONG_STATE",
        chunk_after_the_statement,
        charged=SMALLEST,
    ),
    with_round_id("Evaluate", exchange_pb2.EvaluateRequest, blinded=CHUNK),
    with_round_id("ListTags", exchange_pb2.ListTagsRequest),
    with_round_id("Subscribe", exchange_pb2.SubscribeRequest),
    Attack("subscribe-in-a-batch-round", "waits for news", "SPEC 19.2", "WRONG_STATE", subscription),
    with_round_id("Close", exchange_pb2.CloseRequest),
    with_round_id("Report", exchange_pb2.ReportRequest),
    Attack(
        "page-beyond-the-table",
        "asks for a page after the last",
        "SPEC 9.5",
        "CHUNK_OUT_OF_RANGE",
        page_beyond_the_table,
    ),
    report("part-of-a-tag", "17 bytes", b"x" * 17),
    report("too-many-tags", "a tag too many", bytes(16 * 8_193)),
    header("no-purpose", lambda h: replace(h, purpose=" "), "BAD_HEADER"),
    header("no-legal-basis", lambda h: replace(h, legal_basis=""), "BAD_HEADER"),
    header("control-character", lambda h: replace(h, purpose="a\nb"), "BAD_HEADER"),
    header("purpose", lambda h: replace(h, purpose="we raise our prices"), "POLICY_REFUSED", "SPEC 9.3-2"),
    header("legal-basis", lambda h: replace(h, legal_basis="none"), "POLICY_REFUSED", "SPEC 9.3-2"),
    header("mode", lambda h: replace(h, mode=RoundMode.STANDING), "BAD_HEADER"),
    header("collection", lambda h: replace(h, collection="accounts"), "PROFILE_MISMATCH"),
    header("no-collection", lambda h: replace(h, collection="gossip"), "POLICY_REFUSED", "SPEC 9.3-2"),
    header("no-profiles", lambda h: replace(h, profiles=()), "PROFILE_MISMATCH", "SPEC 9.3-2"),
    header("profiles-unsorted", lambda h: replace(h, profiles=h.profiles[::-1]), "BAD_HEADER"),
    header("profiles-doubled", lambda h: replace(h, profiles=h.profiles + h.profiles), "BAD_HEADER"),
    header("no-lifetime", lambda h: replace(h, expires=h.created), "BAD_HEADER"),
    header("too-long", lambda h: replace(h, expires=h.created + 8 * 86_400), "BAD_HEADER"),
    header("over-policy", lambda h: replace(h, expires=h.expires + 1), "POLICY_REFUSED", "SPEC 9.3-2"),
    header(
        "expired",
        lambda h: replace(h, created=h.created - 90_000, expires=h.expires - 90_000),
        "HEADER_EXPIRED",
        "SPEC 9.3-2",
    ),
    header(
        "not-yet-valid",
        lambda h: replace(h, created=h.created + 900, expires=h.expires + 900),
        "HEADER_EXPIRED",
        "SPEC 9.3-2",
    ),
    header("initiator", lambda h: replace(h, initiator=h.responder), "BAD_HEADER"),
    header("responder", lambda h: replace(h, responder=h.initiator), "BAD_HEADER"),
    header(
        "initiators-certificate",
        lambda h: replace(h, initiator=replace(h.initiator, certificate_hash=bytes(32))),
        "BAD_HEADER",
    ),
    header(
        "responders-certificate",
        lambda h: replace(h, responder=replace(h.responder, certificate_hash=bytes(32))),
        "BAD_HEADER",
    ),
    offer("epoch-zero", "BAD_HEADER", epoch_number=0),
    offer("cap-zero", "BAD_HEADER", cap=0),
    offer("cap-over-budget", "BAD_HEADER", cap=2**21),
    offer("cap-too-small", "CAP_EXCEEDED", cap=255),
    offer("identity-key", "BAD_ELEMENT", public_key=Element(bytes(32))),
    offer("non-canonical-key", "BAD_ELEMENT", public_key=Element(b"\xff" * 32)),
    offer("table-of-too-many-versions", "BAD_HEADER", table=TableCommitment(2, 1, bytes(32))),
    offer("table-without-version", "BAD_HEADER", table=TableCommitment(0, 256, bytes(32))),
    offer("table-over-every-size", "BAD_HEADER", table=TableCommitment(1, 2**41, bytes(32))),
    offer("table-over-policy", "POLICY_REFUSED", table=TableCommitment(1, 2**27, bytes(32))),
    victims_offer("epoch", epoch_number=7),
    victims_offer("key", public_key=Element(bytes(32))),
    victims_offer("budget", budget=2**30),
    victims_offer("cap", cap=1),
    victims_offer("table", table=TableCommitment(1, 256, bytes(32))),
    proposal("no signature", lambda encoded, _: (encoded, b""), "BAD_SIGNATURE"),
    proposal("another signature", lambda encoded, s: (encoded, flip(s)), "BAD_SIGNATURE"),
    proposal("a bit of the purpose changed", lambda encoded, s: (flip(encoded, -40), s), "BAD_SIGNATURE"),
    proposal("a trailing byte", lambda encoded, s: (encoded + b"\x00", s), "BAD_ENCODING"),
    proposal("a byte less", lambda encoded, s: (encoded[:-1], s), "BAD_ENCODING"),
    proposal("no header", lambda _, s: (b"", s), "BAD_ENCODING"),
    Attack("proposal-replayed", "proposes the same again", "SPEC 9.4", "WRONG_STATE", proposal_replayed),
    Attack(
        "proposal-replayed-later",
        "proposes a round again that it aborted",
        "SPEC 9.4",
        "WRONG_STATE",
        proposal_replayed_after_the_end,
    ),
    hello("version", "VERSION_MISMATCH", version="mandorla/v2"),
    hello("suite", "VERSION_MISMATCH", suite="P256-SHA256"),
    hello("collection", "POLICY_REFUSED", collection="gossip"),
    hello("profile", "PROFILE_MISMATCH", profiles=[exchange_pb2.Profile(type="ipv4", profile=2)]),
    hello("number of profiles", "PROFILE_MISMATCH", profiles=[]),
    closing("another header", {"header_digest": bytes(32)}, "TRANSCRIPT_MISMATCH"),
    closing("another half of its own", {"initiator_half": bytes(32)}, "TRANSCRIPT_MISMATCH"),
    closing("another half of the victim's", {"responder_half": bytes(32)}, "TRANSCRIPT_MISMATCH"),
    closing("no signature", {}, "BAD_SIGNATURE", bytes(64)),
    Attack(
        "close-after-an-abort",
        "aborts, and asks for a commit",
        "SPEC 9.7-3",
        "UNKNOWN_ROUND",
        close_after_an_abort,
    ),
    Attack(
        "close-with-a-gap",
        "asks for a statement on a half that lacks chunk 0",
        "SPEC 9.6",
        "TRANSCRIPT_MISMATCH",
        close_with_a_gap,
        charged=SMALLEST,
    ),
    Attack(
        "abort-of-another-round",
        "aborts under another digest",
        "SPEC 9.7",
        "TRANSCRIPT_MISMATCH",
        abort_of_another_round,
    ),
    checkpoint("noise", "BAD_CHECKPOINT", note=b"noise"),
    checkpoint("another origin", "BAD_CHECKPOINT", origin="elsewhere.example"),
    checkpoint("an old size over its own", "BAD_CHECKPOINT", old_size=2),
    checkpoint("64 hashes", "BAD_CHECKPOINT", proof=[bytes(32)] * 64),
    checkpoint("a hash of five bytes", "BAD_CHECKPOINT", proof=[b"short"]),
    checkpoint("a proof where none is", "BAD_CHECKPOINT", proof=[bytes(32)]),
)
