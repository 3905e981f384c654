"""Indicators (SPEC A): the values that labs match, in one spelling that all labs compute.

An indicator has a type of the closed registry, the profile of the type's canonicalisation rule, and a
canonical value. Its token is the OPRF's input. The value and the token never leave the lab.
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
