"""Peers' labels at rest: labels without their padding, encrypted, and masked label keys."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mandorla_protocol.encoding import Writer
from mandorla_protocol.labels import PADDED_LABEL_SIZE, Label

from ..crypto.vault import Vault
from .peer_epoch import PeerEpoch

_ASSOCIATED_DATA: Final = b"label"
_UNENCRYPTED: Final = Writer("mandorla/v1 label").finish()
"""The first bytes of a label that an older version of the node stored unencrypted."""


class LabelStore:
    """Seal and open peers' labels, and mask the keys to them."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        # A peer gives many indicators the same label, and sealing is slow. The cache seals equal labels to
        # equal bytes: a reader of the store without the key learns that they are equal, and nothing else.
        self.seal = lru_cache(maxsize=4096)(self._seal)
        self.open = lru_cache(maxsize=4096)(self._open)

    def _seal(self, label: Label) -> bytes:
        """Return a label as the store keeps it."""
        (sealed,) = self._vault.seal_rows([(label.encode().rstrip(b"\x00"), _ASSOCIATED_DATA)])
        return sealed

    def _open(self, stored: bytes) -> Label:
        """Return a label from its stored bytes.

        Raises NodeError(BAD_HOME) if it was sealed under another key, EncodingError(BAD_LABEL).
        """
        if not stored.startswith(_UNENCRYPTED):
            (stored,) = self._vault.open_rows([(stored, _ASSOCIATED_DATA)])
        return Label.decode(stored.ljust(PADDED_LABEL_SIZE, b"\x00"))

    def mask(self, peer_epoch: PeerEpoch, indicator_ids: NDArray[np.int64], label_keys: bytes) -> bytes:
        """Mask the joined label keys of indicators in an epoch, or unmask them; `indicator_ids` ascend.

        A mask must never cover two values. The epoch and the indicator determine the label key, so their mask
        covers one value, however often the key is computed.
        """
        return self._vault.mask(peer_epoch.epoch.encode() + peer_epoch.public_key, indicator_ids, label_keys)
