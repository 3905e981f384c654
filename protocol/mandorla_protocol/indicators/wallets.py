"""Wallets (SPEC A.6): addresses of Bitcoin and Ethereum, with verified checksums."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from .input_text import clean, refused

_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# A version of 0 or 5, a hash of 20 bytes and a checksum of 4 bytes take 25 to 34 characters. And 34
# characters that begin with 1 or 3 never take more than these 25 bytes.
_BASE58_ADDRESS: Final = re.compile(rf"[13][{_BASE58}]{{24,33}}")
_BASE58_SIZE: Final = 25
_BASE58_VERSIONS: Final = (0x00, 0x05)

_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
# A version, a witness program of 2 to 40 bytes and a checksum.
_SEGWIT_ADDRESS: Final = re.compile(rf"bc1[{_BECH32}][{_BECH32}]{{4,64}}[{_BECH32}]{{6}}")
_SEGWIT_PREFIX: Final = (3, 3, 0, 2, 3)
_BECH32_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_CONSTANT: Final = 1
_BECH32M_CONSTANT: Final = 0x2BC830A3

_ETHEREUM_ADDRESS: Final = re.compile(r"0[xX]([0-9A-Fa-f]{40})")


def wallet(text: str) -> str:
    """Return the canonical form of an address of Bitcoin's main network or of Ethereum (SPEC A.6).

    Raises InputError: BAD_INDICATOR, also for a wrong checksum.
    """
    address = clean(text)
    if not address.isascii():
        raise refused("It is not ASCII, as addresses of wallets are.")
    if found := _ETHEREUM_ADDRESS.fullmatch(address):
        return _ethereum(found[1])
    if _BASE58_ADDRESS.fullmatch(address):
        return _base58check(address)
    # The letters of a segregated witness address have one case. QR codes use capitals (BIP 173).
    lowered = address.lower() if address in (address.lower(), address.upper()) else address
    if _SEGWIT_ADDRESS.fullmatch(lowered):
        return _segwit(lowered)
    raise refused("It is not an address of Bitcoin or Ethereum.")


def _base58check(address: str) -> str:
    """Check the checksum of an address in Base58Check (the hash of a public key or script); return it."""
    number = 0
    for character in address:
        number = number * 58 + _BASE58.index(character)
    decoded = number.to_bytes(_BASE58_SIZE, "big")
    payload, checksum = decoded[:-4], decoded[-4:]
    zeros = len(decoded) - len(decoded.lstrip(b"\0"))
    ones = len(address) - len(address.lstrip("1"))
    digest = hashlib.sha256(hashlib.sha256(payload).digest()).digest()
    if payload[0] not in _BASE58_VERSIONS or zeros != ones or digest[:4] != checksum:
        raise refused("The address of Bitcoin is mistyped: its checksum is wrong.")
    return address


def _segwit(address: str) -> str:
    """Check the checksum of a lowercase segregated witness address (BIP 173, BIP 350); return the address."""
    data = [_BECH32.index(character) for character in address[3:]]
    version, program = data[0], data[1:-6]
    constant = _BECH32M_CONSTANT if version else _BECH32_CONSTANT
    if _polymod([*_SEGWIT_PREFIX, *data]) != constant:
        raise refused("The address of Bitcoin is mistyped: its checksum is wrong.")
    size, padding = divmod(5 * len(program), 8)
    padded = padding < 5 and not program[-1] & ((1 << padding) - 1)
    if version > 16 or not padded or (version == 0 and size not in (20, 32)):
        raise refused("The address of Bitcoin holds no witness program.")
    return address


def _polymod(values: list[int]) -> int:
    """Return the checksum of BIP 173 over values of 5 bits."""
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATOR):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum


def _ethereum(digits: str) -> str:
    """Return an address in the mixed case of ERC-55, which is a checksum.

    Check it if the text is in mixed case.
    """
    from Crypto.Hash import keccak  # noqa: PLC0415 - slow to load, and seldom needed

    lowered = digits.lower()
    nibbles = keccak.new(digest_bits=256, data=lowered.encode("ascii")).hexdigest()
    checked = "".join(
        digit.upper() if nibble in "89abcdef" else digit
        for digit, nibble in zip(lowered, nibbles, strict=False)
    )
    if digits not in (lowered, digits.upper(), checked):
        raise refused("The address of Ethereum is mistyped: its checksum is wrong.")
    return f"0x{checked}"
