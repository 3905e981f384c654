"""The change of a home's key source. It seals the secrets again, but not the data that they seal.

Each file is replaced atomically. The order of the files guarantees that after a crash at any moment the
configuration names a source that opens the home: the former source until the configuration is replaced, and
the new source afterwards. A second rekey completes an interrupted one.
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
from .sealed_secrets import PLAIN, SEALED, PassphraseCost, SealedFile


def rekey(home: Path, new: KeySource, cost: PassphraseCost | None = None) -> None:
    """Seal the secrets of a stopped node's home under the key of another source.

    Under the source `home` they become plain files. The former key no longer opens the home, but it opens
    earlier copies of the home. `cost` is the cost of a passphrase.

    Raises NodeError: BAD_HOME if a node runs, or a key is missing or is not the home's; BAD_CONFIG if the
    operator has to edit the configuration by hand. Raises InputError: BAD_INPUT for an unusable source or
    passphrase.
    """
    new.require_usable(home)
    located = Home.locate(home)
    if node_answers(located.operator_socket):
        raise NodeError(Code.BAD_HOME, "a node serves this home; stop the node first")
    with files.locked_home(home):
        config = home / CONFIG
        edited = replace_values(config.read_bytes().decode(), "keys", new.to_settings())
        secrets, slot = sealed_secrets.read(home, located.key_source)
        vault = Vault(secrets.vault)
        if new.kind is SourceKind.HOME:
            sealed_secrets.write_plain(home, secrets)
            files.replace(config, edited.encode())
            files.destroy(home / SEALED)
            return
        new_slot = sealed_secrets.seal(secrets, new, new.new_secret(), cost or PassphraseCost())
        # Both keys open the home until the configuration names the new source.
        SealedFile(slots=(new_slot, slot) if slot else (new_slot,)).write(home)
        files.replace(config, edited.encode())
        SealedFile(slots=(new_slot,)).write(home)
        own_cards.seal_keys(home, vault)
        for name in PLAIN:
            files.destroy(home / name)
