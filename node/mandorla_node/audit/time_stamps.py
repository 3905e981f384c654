"""Asking a time stamping authority for a stamp (RFC 3161 over HTTP)."""

from __future__ import annotations

import urllib.request
from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response

from mandorla_protocol.audit.stamps import MAX_RESPONSE
from mandorla_protocol.errors import Code, InputError, TransportError

_TIMEOUT: Final = 30.0


def request_stamp(url: str, text: bytes) -> bytes:
    """Have a text stamped, and return the authority's response; only the text's hash leaves this machine.

    Whether the authority is to be trusted is for whoever verifies the stamp.

    Raises InputError(BAD_INPUT) for a URL that is none of HTTP, TransportError(PEER_UNAVAILABLE) if there is
    no answer, or none to this request.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(
            Code.BAD_INPUT, "the URL of a time stamping authority begins with http:// or https://"
        )
    builder = TimestampRequestBuilder().data(text).hash_algorithm(HashAlgorithm.SHA256)
    asked = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url, asked.as_bytes(), {"Content-Type": "application/timestamp-query"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - as above
            response: bytes = answer.read(MAX_RESPONSE + 1)
        decoded = decode_timestamp_response(response)
        same = decoded.tst_info.message_imprint.message == asked.message_imprint.message
    except (URLError, OSError, ValueError) as error:
        said = f"the time stamping authority does not answer: {error}"
        raise TransportError(Code.PEER_UNAVAILABLE, said) from None
    if len(response) > MAX_RESPONSE or not same or decoded.tst_info.nonce != asked.nonce:
        raise TransportError(Code.PEER_UNAVAILABLE, "the authority's answer is to another request")
    return response
