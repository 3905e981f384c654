"""Vectors of logs (SPEC 18): entries, proofs, checkpoints, cosignatures, witnesses and fraud proofs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Final

from . import notes, trees
from .entries import CHECKPOINT, COSIGNED_AT, LOGGED
from .example import A, B
from .inputs import Case, Value, altered, bad, derived, flip, good, paths, slug
from .notes import consistency, cosigned, cosigner_line, inclusion, log_line, note_of, state
from .records import ENTRIES
from .structures import Fields, faults, join, left_out, uint
from .tables import root_of
from .trees import CODE, LEAVES

ABOUT: Final = "Entries of logs, consistency and inclusion, checkpoints, cosignatures, witnesses, fraud"
SPEC: Final = "18"

LIMIT: Final = 16_384

TEXT: Final = join(notes.checkpoint(CHECKPOINT))
NOTE: Final = notes.signed_by(A, CHECKPOINT)
OTHER: Final = CHECKPOINT | {"root": derived("another root", 32)}


def cases() -> Iterator[Case]:
    """Yield all vectors of logs."""
    yield from _entries()
    yield from trees.cases()
    yield from _checkpoints()
    yield from _notes()
    yield from _cosignatures()
    yield from _witnesses()
    yield from _fraud()


def _leaf(fields: Fields) -> bytes:
    return hashlib.sha256(b"\x00" + join(fields)).digest()


def _entries() -> Iterator[Case]:
    """Yield each entry as the second of three, and logs whose encoders leave out or alter a field."""
    for structure, value in LOGGED.items():
        fields = ENTRIES[structure](value)

        def among(leaf: bytes) -> list[bytes]:
            return [LEAVES[0], leaf, LEAVES[2]]

        given: Value = {"structure": structure, "value": value, "index": 1, "size": 3}
        given |= {"proof": inclusion(1, among(_leaf(fields)))}
        name = f"{slug(structure)}-included"
        yield good(name, "verify-entry", given | {"root": root_of(among(_leaf(fields)))})
        for fault, faulty in faults(fields).items():
            root = root_of(among(_leaf(faulty)))
            yield bad(f"{name}-{slug(fault)}", "verify-entry", given | {"root": root}, CODE)


def _opened(note: bytes, **other: object) -> Value:
    return {"note": note, "origin": A.origin, "lab": A.identity} | other


def _state(value: Value) -> Value:
    return {"size": value["size"], "root": value["root"]}


def _checkpoints() -> Iterator[Case]:
    """Yield valid notes, and notes of faulty logs: with another text or key id."""
    empty, large = state(A, []), CHECKPOINT | {"size": 10**18 - 1}
    for name, value in (("", CHECKPOINT), ("-empty", empty), ("-of-18-digits", large)):
        note = notes.signed_by(A, value)
        yield good(f"checkpoint{name}", "sign-checkpoint", {"private_key": A.seed} | value, {"note": note})
        yield good(f"checkpoint-opened{name}", "open-checkpoint", _opened(note), _state(value))
    others = (
        cosigner_line(B, notes.cosignature(B, CHECKPOINT, COSIGNED_AT)),
        notes.line("elsewhere.example/log", derived("key id", 4), b"\x00"),
        notes.line(A.origin, derived("key id", 4), bytes(64)),
    )
    for name, lines in (("behind", (log_line(A, TEXT), *others)), ("before", (*others, log_line(A, TEXT)))):
        note = note_of(TEXT.decode(), *lines)
        yield good(
            f"checkpoint-others-signatures-{name}", "open-checkpoint", _opened(note), _state(CHECKPOINT)
        )
    for path in paths(CHECKPOINT):
        # The text is right, but the signature is on a text without a line, or with another line.
        for how, signed in (
            ("without", join(left_out(notes.checkpoint(CHECKPOINT), path))),
            ("altered", join(notes.checkpoint(altered(CHECKPOINT, path)))),
        ):
            note = note_of(TEXT.decode(), log_line(A, signed))
            yield bad(f"checkpoint-{how}-{slug(path)}", "open-checkpoint", _opened(note), CODE)
    identifier = notes.key_id_fields(A.origin, notes.LOG, A.identity)
    for fault, fields in faults(identifier).items():
        note = note_of(TEXT.decode(), notes.line(A.origin, notes.key_id(fields), A.sign(TEXT)))
        yield bad(f"checkpoint-key-id-{slug(fault)}", "open-checkpoint", _opened(note), CODE)


def _notes() -> Iterator[Case]:
    """Yield notes with texts or lines that no writer makes, signed by the log."""
    root = notes.base64_of(CHECKPOINT["root"])
    # The last character of 32 bytes in base64 has two bits that are zero.
    loose = f"{root[:-2]}{chr(ord(root[-2]) + 1)}="
    texts: dict[str, bytes] = {
        "size-leading-zero": _text(size="07"),
        "size-signed": _text(size="+7"),
        "size-negative": _text(size="-7"),
        "size-empty": _text(size=""),
        "size-space": _text(size=" 7"),
        "size-hexadecimal": _text(size="0x7"),
        "size-arabic-digit": _text(size="\u0667"),
        "size-of-19-digits": _text(size="1" + 18 * "0"),
        "root-without-padding": _text(root=root.rstrip("=")),
        "root-not-canonical": _text(root=loose),
        "root-in-hexadecimal": _text(root=CHECKPOINT["root"].hex()),
        "root-of-31-bytes": _text(root=notes.base64_of(CHECKPOINT["root"][:-1])),
        "root-of-33-bytes": _text(root=notes.base64_of(CHECKPOINT["root"] + b"\x00")),
        "root-empty": _text(root=""),
        "root-url-base64": _text(root=base64.urlsafe_b64encode(b"\xff" * 32).decode()),
        "root-trailing-space": _text(root=f"{root} "),
        "origin-of-another-log": _text(origin=B.origin),
        "origin-empty": _text(origin=""),
        "extension-line": TEXT + b"extension\n",
        "extension-line-empty": TEXT + b"\n",
        "two-lines": TEXT.rpartition(b"\n")[0].rpartition(b"\n")[0] + b"\n",
        "crlf": TEXT.replace(b"\n", b"\r\n"),
        "tab": _text(size="7\t"),
        "nul": _text(size="7\x00"),
        "not-utf-8": TEXT.replace(b"/mandorla", b"/\xff"),
        "text-without-its-last-newline": TEXT[:-1],
    }
    for fault, text in texts.items():
        note = text + b"\n" + log_line(A, text).encode()
        yield bad(f"note-{fault}", "open-checkpoint", _opened(note), CODE)
    signature = A.sign(TEXT)
    identifier = notes.key_id(notes.key_id_fields(A.origin, notes.LOG, A.identity))
    order = 2**252 + 27742317777372353535851937790883648493
    unreduced = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    line, signed = log_line(A, TEXT), identifier + signature
    written = f"\u2014 {A.origin} "
    padding = notes.line("elsewhere.example/log", derived("key id", 4), derived("long", 12_400))
    lines: dict[str, str] = {
        "without-a-signature": "",
        "signed-twice": line + line,
        "signed-by-others-alone": cosigner_line(B, notes.cosignature(B, CHECKPOINT, COSIGNED_AT)),
        "cosigned-by-its-own-log-alone": cosigner_line(A, notes.cosignature(A, CHECKPOINT, COSIGNED_AT)),
        "signed-under-another-name": notes.line(B.origin, identifier, signature),
        "signed-by-another-lab": notes.line(A.origin, identifier, B.sign(TEXT)),
        "signature-altered": notes.line(A.origin, identifier, flip(signature)),
        "signature-short": notes.line(A.origin, identifier, signature[:-1]),
        "signature-long": notes.line(A.origin, identifier, signature + b"\x00"),
        "signature-empty": notes.line(A.origin, identifier, b""),
        "signature-unreduced": notes.line(A.origin, identifier, unreduced),
        "signature-without-padding": line.replace("=", ""),
        "signature-in-hexadecimal": f"{written}{signed.hex()}\n",
        "hyphen-for-the-dash": line.replace("\u2014", "-"),
        "without-the-dash": line.removeprefix("\u2014 "),
        "two-spaces": line.replace("\u2014 ", "\u2014  "),
        "space-behind-a-signature": line.replace("\n", " \n"),
        "line-without-a-newline": line[:-1],
        "empty-line-behind": line + "\n",
        "text-behind": line + "more\n",
        "crlf-behind-a-signature": line.replace("\n", "\r\n"),
        "plus-in-anothers-name": line + notes.line("a+b", derived("key id", 4), b"\x00"),
        "line-of-another-malformed": line + "\u2014 elsewhere.example/log ?\n",
        "over-16384-bytes": line + padding,
    }
    for fault, behind in lines.items():
        yield bad(f"note-{fault}", "open-checkpoint", _opened(note_of(TEXT.decode(), behind)), CODE)
    yield bad("note-empty", "open-checkpoint", _opened(b""), CODE)
    yield bad("note-without-the-empty-line", "open-checkpoint", _opened(TEXT + line.encode()), CODE)
    yield bad("note-byte-order-mark", "open-checkpoint", _opened(b"\xef\xbb\xbf" + NOTE), CODE)
    yield bad("note-opened-for-another-origin", "open-checkpoint", _opened(NOTE, origin=B.origin), CODE)
    yield bad("note-opened-for-another-lab", "open-checkpoint", _opened(NOTE, lab=B.identity), CODE)
    longest = note_of(TEXT.decode(), line, _filler(LIMIT - len(note_of(TEXT.decode(), line))))
    yield good("note-of-16384-bytes", "open-checkpoint", _opened(longest), _state(CHECKPOINT))


def _text(**change: str) -> bytes:
    """Return a checkpoint's text with one line replaced."""
    lines = {"origin": A.origin, "size": "7", "root": notes.base64_of(CHECKPOINT["root"])} | change
    return "".join(f"{line}\n" for line in lines.values()).encode()


def _filler(size: int) -> str:
    """Return a signature line of another signer, with `size` bytes."""
    for name in ("e.example", "el.example", "els.example", "else.example"):
        if (size - len(notes.line(name, b"", b"").encode())) % 4 == 0:
            count = (size - len(notes.line(name, b"", b"").encode())) // 4 * 3
            return notes.line(name, derived("key id", 4), derived("long", count - 4))
    raise AssertionError(size)


def _cosignatures() -> Iterator[Case]:
    cosignature = notes.cosignature(B, CHECKPOINT, COSIGNED_AT)
    for name, at in (("", COSIGNED_AT), ("-at-zero", 0), ("-at-2-40", 2**40)):
        one = notes.cosignature(B, CHECKPOINT, at)
        given = {"private_key": B.seed, "checkpoint": CHECKPOINT, "time": at}
        yield good(f"cosignature{name}", "cosign", given, {"cosignature": one})
        seen = {"cosigner": B.identity, "checkpoint": CHECKPOINT, "cosignature": one}
        yield good(f"cosignature-verified{name}", "verify-cosignature", seen, {"time": at})
    usual = {"cosigner": B.identity, "checkpoint": CHECKPOINT, "cosignature": cosignature}
    time = uint(COSIGNED_AT, 8)
    fields = cosigned(CHECKPOINT, COSIGNED_AT)
    wrong: dict[str, Value] = {}
    for name in fields:
        wrong[f"without-{slug(name)}"] = usual | {"cosignature": time + B.sign(join(left_out(fields, name)))}
    for name, other in (
        ("cosignature-v1", fields | {'"cosignature/v1"': b"cosignature/v2\n"}),
        ("time", fields | {'"time "': b"date "}),
        ("time-in-decimal", cosigned(CHECKPOINT, COSIGNED_AT + 1)),
        *((path, cosigned(altered(CHECKPOINT, path), COSIGNED_AT)) for path in paths(CHECKPOINT)),
    ):
        wrong[f"altered-{name}"] = usual | {"cosignature": time + B.sign(join(other))}
    for path in paths(CHECKPOINT):
        wrong[f"on-another-{path}"] = usual | {"checkpoint": altered(CHECKPOINT, path)}
    wrong |= {
        "time-later": usual | {"cosignature": uint(COSIGNED_AT + 1, 8) + cosignature[8:]},
        "time-little-endian": usual | {"cosignature": time[::-1] + cosignature[8:]},
        "time-padded": usual
        | {"cosignature": time + B.sign(join(fields | {"time in decimal": f"0{COSIGNED_AT}\n".encode()}))},
        "signature-altered": usual | {"cosignature": flip(cosignature)},
        "of-a-log": usual | {"cosignature": time + B.sign(TEXT)},
        "by-another-lab": usual | {"cosigner": A.identity},
        "short": usual | {"cosignature": cosignature[:-1]},
        "long": usual | {"cosignature": cosignature + b"\x00"},
        "without-its-time": usual | {"cosignature": cosignature[8:]},
        "empty": usual | {"cosignature": b""},
    }
    for fault, faulty in wrong.items():
        yield bad(f"cosignature-{slug(fault)}", "verify-cosignature", faulty, CODE)


def _witnesses() -> Iterator[Case]:
    """Yield the answers of a witness that cosigned checkpoints of 3 and 6 entries."""

    def tree(size: int) -> Value:
        return {"size": size, "root": root_of(LEAVES[:size])}

    def asked(old: int, to: Value, proof: list[bytes], *seen: Value) -> Value:
        return {"cosigned": list(seen), "old_size": old, "checkpoint": to, "proof": proof}

    seen, proof = (tree(3), tree(6)), consistency(6, LEAVES)
    operation = "judge-checkpoint"
    for name, one, answer in (
        ("extended", asked(6, tree(13), proof, *seen), "cosign"),
        ("first", asked(0, tree(13), []), "cosign"),
        ("first-and-empty", asked(0, tree(0), []), "cosign"),
        ("same-again", asked(6, tree(6), [], *seen), "known"),
        ("old-size-too-small", asked(3, tree(13), consistency(3, LEAVES), *seen), "conflict"),
        ("old-size-too-large", asked(8, tree(13), consistency(8, LEAVES), *seen), "conflict"),
        ("nothing-was-shown-before", asked(6, tree(13), proof), "conflict"),
        ("earlier-state-again", asked(3, tree(3), [], *seen), "conflict"),
    ):
        yield good(f"witness-{name}", operation, one, {"answer": answer})
    for name, one, code in (
        ("proof-altered", asked(6, tree(13), [flip(proof[0]), *proof[1:]], *seen), CODE),
        ("proof-empty", asked(6, tree(13), [], *seen), CODE),
        ("root-altered", asked(6, tree(13) | {"root": LEAVES[0]}, proof, *seen), CODE),
        ("old-size-over-the-checkpoints", asked(6, tree(5), [], *seen), CODE),
        ("proof-of-64-hashes", asked(3, tree(13), [LEAVES[0]] * 64, *seen), CODE),
        ("first-with-a-hash", asked(0, tree(13), [LEAVES[0]]), CODE),
        ("empty-with-a-root", asked(0, tree(0) | {"root": LEAVES[0]}, []), CODE),
        ("other-root-of-the-last-size", asked(6, tree(6) | {"root": LEAVES[0]}, [], *seen), "EQUIVOCATION"),
        ("other-root-of-an-earlier-size", asked(3, tree(3) | {"root": LEAVES[0]}, [], *seen), "EQUIVOCATION"),
        # The fraud counts before whatever else is wrong.
        ("other-root-and-old-size-over", asked(9, tree(6) | {"root": LEAVES[0]}, [], *seen), "EQUIVOCATION"),
    ):
        yield bad(f"witness-{name}", operation, one, code)


def _file(one: bytes, other: bytes, key: str, first: str = "mandorla/v1 fraud proof") -> bytes:
    return f"{first}\n{key}\n\n".encode() + one + b"\n=====\n\n" + other


def _fraud() -> Iterator[Case]:
    key, one, other = notes.verifier_key(A), NOTE, notes.signed_by(A, OTHER)
    with_others = note_of(TEXT.decode(), log_line(A, TEXT), cosigner_line(B, bytes(72)))
    for name, file in (
        ("", _file(one, other, key)),
        ("-exchanged", _file(other, one, key)),
        ("-with-others-signatures", _file(with_others, other, key)),
    ):
        yield good(f"fraud{name}", "verify-fraud", {"file": file}, {"origin": A.origin, "size": 7})
    forged = note_of(join(notes.checkpoint(OTHER)).decode(), log_line(B, join(notes.checkpoint(OTHER))))
    parts = key.split("+", 2)
    for name, file in (
        ("equal-roots", _file(one, one, key)),
        ("other-sizes", _file(one, notes.signed_by(A, OTHER | {"size": 8}), key)),
        ("other-origin", _file(one, notes.signed_by(A, OTHER | {"origin": B.origin}), key)),
        ("other-note-by-another-lab", _file(one, forged, key)),
        ("other-note-unsigned", _file(one, join(notes.checkpoint(OTHER)), key)),
        (
            "signature-altered",
            _file(one, note_of(join(notes.checkpoint(OTHER)).decode(), log_line(A, TEXT)), key),
        ),
        ("key-of-another-lab", _file(one, other, notes.verifier_key(B))),
        ("key-of-a-cosigner", _file(one, other, notes.verifier_key(A, notes.COSIGNER))),
        ("key-id-altered", _file(one, other, f"{parts[0]}+00000000+{parts[2]}")),
        ("key-id-upper-case", _file(one, other, f"{parts[0]}+{parts[1].upper()}+{parts[2]}")),
        ("key-of-another-name", _file(one, other, f"{B.origin}+{parts[1]}+{parts[2]}")),
        ("key-without-its-id", _file(one, other, f"{parts[0]}+{parts[2]}")),
        ("key-short", _file(one, other, key[:-4])),
        ("key-missing", _file(one, other, "")),
        ("first-line-of-another-version", _file(one, other, key, "mandorla/v2 fraud proof")),
        ("without-the-first-line", _file(one, other, key).partition(b"\n")[2]),
        ("one-note-alone", _file(one, other, key).partition(b"\n=====\n")[0]),
        ("four-equals-signs", _file(one, other, key).replace(b"=====", b"====", 1)),
        ("trailing-text", _file(one, other, key) + b"more\n"),
        ("crlf", _file(one, other, key).replace(b"\n", b"\r\n")),
        ("empty", b""),
    ):
        yield bad(f"fraud-{name}", "verify-fraud", {"file": file}, CODE)
