"""Requests to a time stamping authority (RFC 3161 over HTTP)."""

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
    """Request a time stamp for a text and return the authority's response; send only the text's hash.

    This checks that the response answers the request. The verifier of the stamp decides whether to trust the
    authority.

    Raises InputError(BAD_INPUT) for a URL that is not HTTP or HTTPS, TransportError(PEER_UNAVAILABLE) if the
    authority does not answer, or answers another request.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(
            Code.BAD_INPUT, "the URL of a time stamping authority begins with http:// or https://"
        )
    builder = TimestampRequestBuilder().data(text).hash_algorithm(HashAlgorithm.SHA256)
    stamp_request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url, stamp_request.as_bytes(), {"Content-Type": "application/timestamp-query"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - as above
            response: bytes = answer.read(MAX_RESPONSE + 1)
        decoded = decode_timestamp_response(response)
        same_text = decoded.tst_info.message_imprint.message == stamp_request.message_imprint.message
    except (URLError, OSError, ValueError) as error:
        detail = f"the time stamping authority does not answer: {error}"
        raise TransportError(Code.PEER_UNAVAILABLE, detail) from None
    if len(response) > MAX_RESPONSE or not same_text or decoded.tst_info.nonce != stamp_request.nonce:
        raise TransportError(Code.PEER_UNAVAILABLE, "the authority answered another request")
    return response
