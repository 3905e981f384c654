"""A helper for the laws of single types."""

from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.indicators import REGISTRY


def canonical(type_name: str, text: str) -> str | None:
    """Return the canonical value of a text, None for BAD_INDICATOR; assert that the rule is idempotent."""
    canonicalise = REGISTRY[type_name].canonicalise
    try:
        value = canonicalise(text)
    except InputError as error:
        assert error.code is Code.BAD_INDICATOR
        assert error.__context__ is None
        return None
    assert canonicalise(value) == value
    assert value.isprintable()
    assert len(value.encode()) <= 1024
    return value
