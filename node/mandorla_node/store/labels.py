"""What peers say of indicators, at rest: labels without their padding, and the keys to them, encrypted."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mandorla_protocol.encoding import Writer
from mandorla_protocol.labels import PADDED_LABEL_SIZE, Label

from ..crypto.vault import Vault
from .peer_epoch import PeerEpoch

_PLACE: Final = b"label"
_IN_THE_CLEAR: Final = Writer("mandorla/v1 label").finish()
"""How a label begins that was kept before labels were sealed."""


class LabelStore:
    """Seal and open what the store keeps of peers' labels."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        # A lab says the same of many indicators. Equal labels may come to rest as equal bytes: whoever reads
        # them without the key learns that they are equal, and nothing else.
        self.sealed = lru_cache(maxsize=4096)(self._sealed)
        self.opened = lru_cache(maxsize=4096)(self._opened)

    def _sealed(self, label: Label) -> bytes:
        """Return the bytes that the store keeps of a label."""
        (sealed,) = self._vault.seal_rows([(label.encode().rstrip(b"\x00"), _PLACE)])
        return sealed

    def _opened(self, kept: bytes) -> Label:
        """Return a label that the store kept.

        Raises NodeError(BAD_HOME) if it was sealed under another key, EncodingError(BAD_LABEL).
        """
        if not kept.startswith(_IN_THE_CLEAR):
            (kept,) = self._vault.open_rows([(kept, _PLACE)])
        return Label.decode(kept.ljust(PADDED_LABEL_SIZE, b"\x00"))

    def masked(self, asked: PeerEpoch, indicator_ids: NDArray[np.int64], label_keys: bytes) -> bytes:
        """Hide the label keys of indicators in an epoch, joined, or show them again; ids ascend.

        An indicator's key in an epoch is one value, whenever it is computed: so its mask may be one, too.
        """
        return self._vault.mask(asked.epoch.encode() + asked.public_key, indicator_ids, label_keys)
