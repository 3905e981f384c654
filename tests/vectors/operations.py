"""The operations of the vectors in Mandorla's code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

from mandorla_protocol import fingerprints, labels, signatures, table
from mandorla_protocol.audit import records
from mandorla_protocol.audit.cross_check import cross_check
from mandorla_protocol.audit.findings import Claim
from mandorla_protocol.audit.reader import BundleReader
from mandorla_protocol.card import Card
from mandorla_protocol.encoding import Reader, Writer
from mandorla_protocol.engine import Engine
from mandorla_protocol.epochs import Epoch, proof_nonce
from mandorla_protocol.fingerprints.behaviour import Activity, behaviour_values
from mandorla_protocol.fingerprints.sequence import sequence_values
from mandorla_protocol.fingerprints.steps import Endpoint, ModelClass, Step, Tool
from mandorla_protocol.group.ristretto255 import Ristretto255
from mandorla_protocol.header import RoundHeader
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label
from mandorla_protocol.merkle import Frontier
from mandorla_protocol.oprf import KeyPair
from mandorla_protocol.session.transcript import CloseStatement, answer_digest, half_digest, request_digest
from mandorla_protocol.sizes import chunk_counts, size_class
from mandorla_protocol.table import TableCommitment, TableEntry, TableReader, parts_of
from tests.vectors.log_operations import STRUCTURES, LogOperations, build, plain, private_key

WITHOUT_ENGINE = frozenset(
    {
        "answer-digest",
        "behaviour-values",
        "check-header",
        "compare-close",
        "cosign",
        "decode",
        "decode-fields",
        "encode",
        "encode-fields",
        "encode-step",
        "extend-commitment",
        "half-digest",
        "header-digest",
        "judge-checkpoint",
        "leaf-hash",
        "merkle-root",
        "mine-templates",
        "normalise-prompt",
        "open",
        "open-checkpoint",
        "parse",
        "prompt-values",
        "proof-nonce",
        "prove-consistency",
        "prove-inclusion",
        "read-card",
        "read-card-text",
        "read-table",
        "request-digest",
        "seal",
        "sequence-values",
        "sign",
        "sign-checkpoint",
        "size-class",
        "split-output",
        "verify-consistency",
        "verify-cosignature",
        "verify-entry",
        "verify-fraud",
        "verify-inclusion",
        "verify-signature",
        "verify-structure",
    }
)
"""The operations that no engine has a part in."""


PROMPT_TYPES = {
    "prompt-minhash": fingerprints.minhash_values,
    "prompt-minhash-pairs": fingerprints.minhash_pairs_values,
    "prompt-minhash-wide": fingerprints.minhash_wide_values,
    "prompt-sentence": fingerprints.sentence_values,
    "prompt-template": fingerprints.template_values,
}


class Operations(LogOperations):
    """Runs operations with one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def run(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return an operation's output in the form of a vector, or raise its error."""
        method = getattr(self, operation.replace("-", "_"))
        return {name: plain(value) for name, value in (method(given) or {}).items()}

    # The OPRF.

    def derive_key_pair(self, given):
        keys = self.engine.derive_key_pair(**_bytes(given))
        return {"secret": keys.secret, "public_key": keys.public}

    def blind(self, given):
        blinds, blinded = self.engine.blind(**_bytes(given))
        return {"blinds": blinds, "blinded": bytes(blinded)}

    def check_elements(self, given):
        self.engine.decode_elements(**_bytes(given))

    def evaluate_and_prove(self, given):
        secret, public_key, blinded, nonce = (
            bytes.fromhex(given[name]) for name in ("secret", "public_key", "blinded", "nonce")
        )
        result = self.engine.evaluate_and_prove(KeyPair(secret, public_key), blinded, nonce)
        return dict(zip(("evaluated", "proof"), result, strict=True))

    def evaluate(self, given):
        keys = KeyPair(bytes.fromhex(given["secret"]), Ristretto255.generator)
        return {"outputs": self.engine.evaluate(keys, bytes.fromhex(given["tokens"]))}

    def verify(self, given):
        self.engine.verify(**_bytes(given))

    def verify_and_finalize(self, given):
        return {"outputs": self.engine.verify_and_finalize(**_bytes(given))}

    def proof_nonce(self, given):
        epoch = build(Epoch, given["epoch"])
        return {"nonce": proof_nonce(bytes.fromhex(given["seed"]), epoch, bytes.fromhex(given["request"]))}

    # Encodings.

    def encode(self, given):
        kind, decode = STRUCTURES[given["structure"]]
        value = build(kind, given["value"])
        encoding = value.encode()
        assert decode(encoding) == value
        return {"encoding": encoding}

    def decode(self, given):
        STRUCTURES[given["structure"]][1](bytes.fromhex(given["encoding"]))

    def encode_fields(self, given):
        writer = Writer(given["domain"])
        for field in given["fields"]:
            value = field["value"]
            match field["type"]:
                case "uint":
                    writer.uint(value, field["width"])
                case "fixed":
                    writer.fixed(bytes.fromhex(value), field["size"])
                case "data":
                    writer.data(bytes.fromhex(value))
                case "text":
                    writer.text(value)
                case "sequence":
                    writer.sequence(value, lambda w, one, width=field["width"]: w.uint(one, width))
        encoding = writer.finish()
        assert self._read(given, encoding) == [field["value"] for field in given["fields"]]
        return {"encoding": encoding}

    def decode_fields(self, given):
        self._read(given, bytes.fromhex(given["encoding"]))

    def _read(self, given, encoding):
        reader = Reader(encoding, given["domain"])
        values = []
        for field in given["fields"]:
            match field["type"]:
                case "uint":
                    values.append(reader.uint(field["width"]))
                case "fixed":
                    values.append(reader.fixed(field["size"]).hex())
                case "data":
                    values.append(reader.data(field["max_length"]).hex())
                case "text":
                    values.append(reader.text(field["max_length"]))
                case "sequence":
                    read = reader.sequence(lambda r, width=field["width"]: r.uint(width), field["max_count"])
                    values.append(list(read))
        reader.finish()
        return values

    def parse(self, given):
        parsed = [Indicator.parse(given["type"], text) for text in given["texts"]]
        (one,) = set(parsed)
        assert Indicator.parse(one.type, one.value) == one
        return {"profile": one.profile, "value": one.value, "encoding": one.encode(), "token": one.token()}

    # Prompts.

    def normalise_prompt(self, given):
        return {"text": fingerprints.normalise(given["prompt"])}

    def prompt_values(self, given):
        prompt = "".join(piece * times for piece, times in given["pieces"])
        values = PROMPT_TYPES[given["type"]](prompt)
        return {"values": sorted(values) if isinstance(values, frozenset) else list(values)}

    def mine_templates(self, given):
        groups = fingerprints.mine(given["prompts"], given["min_accounts"], given["common"])
        return {"groups": {name: sorted(values) for name, values in groups.items()}}

    # Behaviour.

    def encode_step(self, given):
        classes = Endpoint(given["endpoint"]), ModelClass(given["model"]), Tool(given["tools"])
        gap = None if given["gap"] < 0 else given["gap"]
        return {"step": Step(*classes, given["prompt_size"], given["answer_size"], gap).encode()}

    def sequence_values(self, given):
        return {"values": list(sequence_values(bytes.fromhex(given["steps"])))}

    def behaviour_values(self, given):
        times = [first + n * gap for first, gap, count in given["times"] for n in range(count)]
        return {"values": list(behaviour_values(Activity(times, given["prompts"], given["sharing"])))}

    # Labels and tables.

    def split_output(self, given):
        tag, key = labels.split_output(bytes.fromhex(given["output"]))
        return {"tag": tag, "label_key": key}

    def seal(self, given):
        sealed = labels.seal(build(Label, given["label"]), *self._sealing(given))
        assert labels.open_sealed(sealed, *self._sealing(given)) == build(Label, given["label"])
        return {"sealed": sealed}

    def open(self, given):
        label = labels.open_sealed(bytes.fromhex(given["sealed"]), *self._sealing(given))
        return {"label": asdict(label)}

    def _sealing(self, given):
        key, tag = bytes.fromhex(given["key"]), bytes.fromhex(given["tag"])
        return key, tag, build(Epoch, given["epoch"]), given["version"]

    def size_class(self, given):
        padded = size_class(given["count"])
        # The list of chunks of a large class is long. These two numbers determine it.
        full, rest = divmod(padded, table_chunk := chunk_counts(2**14)[0])
        if padded <= 2**27:
            assert chunk_counts(padded) == (table_chunk,) * full + ((rest,) if rest else ())
        return {"size_class": padded, "full_chunks": full, "rest": rest}

    def leaf_hash(self, given):
        return {"leaf_hash": build(TableEntry, given).leaf_hash()}

    def merkle_root(self, given):
        frontier = Frontier().extend(bytes.fromhex(leaf) for leaf in given["leaf_hashes"])
        assert Frontier.decode(frontier.encode()) == frontier
        return {"root": frontier.root, "frontier": frontier.encode()}

    def extend_commitment(self, given):
        earlier, later = (build(TableCommitment, given[name]) for name in ("earlier", "later"))
        later.require_extends(earlier)

    def read_table(self, given):
        verified, committed = (build(TableCommitment, given[name]) for name in ("verified", "committed"))
        frontier = Frontier.decode(bytes.fromhex(given["frontier"]))
        reader = TableReader.resume(verified, frontier, committed)
        for page in given["pages"]:
            reader = reader.accept(parts_of(build(tuple[table.TableEntry, ...], page)))
        reader.require_complete()

    # Rounds.

    def header_digest(self, given):
        return {"digest": build(RoundHeader, given).digest()}

    def check_header(self, given):
        build(RoundHeader, given["value"]).require_valid(given["now"])

    def request_digest(self, given):
        header, blinded = (bytes.fromhex(given[name]) for name in ("header_digest", "blinded"))
        return {"digest": request_digest(header, given["index"], blinded)}

    def answer_digest(self, given):
        return {"digest": answer_digest(**_bytes(given))}

    def half_digest(self, given):
        # Only the digest of the header counts.
        header: Any = SimpleNamespace(digest=lambda: bytes.fromhex(given["header_digest"]))
        answers = [bytes.fromhex(answer) for answer in given["answers"]]
        return {"digest": half_digest(header, bytes.fromhex(given["querier"]), answers)}

    def compare_close(self, given):
        peer, own = (build(CloseStatement, given[name]) for name in ("peer", "own"))
        peer.require_same(own)

    # Signatures, cards and bundles.

    def sign(self, given):
        key = private_key(given)
        signature = signatures.sign(key, bytes.fromhex(given["message"]))
        return {"identity": signatures.lab_id(key), "signature": signature}

    def verify_signature(self, given):
        names = ("identity", "message", "signature")
        signatures.verify(*(bytes.fromhex(given[name]) for name in names))

    def verify_structure(self, given):
        encoding = build(STRUCTURES[given["structure"]][0], given["value"]).encode()
        signatures.verify(bytes.fromhex(given["identity"]), encoding, bytes.fromhex(given["signature"]))

    def read_card(self, given):
        return self.read_card_text({"text": json.dumps(given["card"])})

    def read_card_text(self, given):
        card = Card.from_json(given["text"])
        assert Card.from_json(card.to_json()) == card
        names = ("name", "identity", "certificate", "certificate_hash", "endpoint", "log_origin", "issued")
        return {name: getattr(card, name) for name in names}

    def verify_bundles(self, given):
        readers = []
        for name, parts in sorted(given["files"].items()):
            file = b"".join(bytes.fromhex(part) for _, part in sorted(parts.items(), key=_place))
            reader = BundleReader(name, self.engine)
            reader.read(records.read_frames(_reading(file)))
            readers.append(reader)
        verdict = cross_check(readers)
        return {"broken": [claim.value for claim in Claim if verdict.of(claim)]}


def _bytes(given: dict[str, str]) -> dict[str, bytes]:
    return {name: bytes.fromhex(value) for name, value in given.items()}


def _place(part: tuple[str, str]) -> int:
    return int(part[0])


def _reading(file: bytes) -> Callable[[int], bytes]:
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        position += size
        return file[position - size : position]

    return read
