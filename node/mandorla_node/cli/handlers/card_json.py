"""A card in the JSON output of commands."""

from __future__ import annotations

from mandorla_protocol.card import Card


def card_object(card: Card) -> dict[str, str | None]:
    """Return a card's fields for JSON output."""
    return {"name": card.name, "endpoint": card.endpoint, "identity": card.identity.hex()}
