"""Indicators (SPEC A): what labs match on, in the one spelling that all of them compute.

An indicator is a type of the closed registry, the profile of its canonicalisation rule, and a canonical
value. Its token is what the OPRF takes as input. The value and the token never leave the lab.
"""

from .indicator import Indicator, Token, tokens_of
from .registry import REGISTRY, Collection, IndicatorType, profiles
from .versions import DATA_VERSIONS

__all__ = [
    "DATA_VERSIONS",
    "REGISTRY",
    "Collection",
    "Indicator",
    "IndicatorType",
    "Token",
    "profiles",
    "tokens_of",
]
