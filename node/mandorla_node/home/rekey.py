"""Changing where the key of a home comes from: sealing its secrets anew, and nothing that they seal.

Each file is replaced at once, in such an order that after a crash at any moment the configuration names a
source that opens the home: the former one until it is rewritten, the new one from then on. Doing it again
finishes.
"""

from __future__ import annotations

from pathlib import Path

from mandorla_protocol.errors import Code, NodeError

from ..config.file_edit import replace_values
from ..core import files
from ..crypto.vault import Vault
from . import own_cards, sealed_secrets
from .folder import CONFIG, Home
from .key_kinds import SourceKind
from .key_sources import KeySource
from .liveness import node_answers
from .sealed_secrets import PLAIN, SEALED, Cost, SealedFile


def rekey(home: Path, new: KeySource, cost: Cost | None = None) -> None:
    """Seal the secrets of a stopped node's home under what another source gives.

    Under the source `home` they become plain files. The former key opens the home no more, but still opens
    what was copied of it before. `cost` is that of a passphrase.

    Raises NodeError: BAD_HOME if a node runs, or a key is not to be had or is not the home's, BAD_CONFIG if
    the configuration has to be changed by hand; InputError(BAD_INPUT) for a source or a passphrase that is
    not fit.
    """
    new.require_usable(home)
    place = Home.locate(home)
    if node_answers(place.operator_socket):
        raise NodeError(Code.BAD_HOME, "a node serves this home; stop it first")
    with files.alone(home):
        config = home / CONFIG
        changed = replace_values(config.read_bytes().decode(), "keys", new.values())
        secrets, slot = sealed_secrets.read(home, place.key_source)
        vault = Vault(secrets.vault)
        if new.kind is SourceKind.HOME:
            sealed_secrets.write_plain(home, secrets)
            files.replace(config, changed.encode())
            files.destroy(home / SEALED)
            return
        fresh = sealed_secrets.seal(secrets, new, new.new_secret(), cost or Cost())
        SealedFile(slots=(fresh, slot) if slot else (fresh,)).write(home)
        files.replace(config, changed.encode())
        SealedFile(slots=(fresh,)).write(home)
        own_cards.seal_keys(home, vault)
        for name in PLAIN:
            files.destroy(home / name)
