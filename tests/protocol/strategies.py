"""hypothesis strategies for the protocol's values."""

from typing import Final

from hypothesis import strategies as st

from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code
from mandorla_protocol.group import Element
from mandorla_protocol.header import Offer, Party, RoundHeader, RoundId, RoundKind, RoundMode
from mandorla_protocol.labels import Label, Reason, Severity, Tlp
from mandorla_protocol.merkle import Frontier, hash_leaf
from mandorla_protocol.session.transcript import CloseStatement, Outcome
from mandorla_protocol.table import TableCommitment


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def uints(width: int) -> st.SearchStrategy[int]:
    return st.integers(0, 256**width - 1)


def texts(max_bytes: int) -> st.SearchStrategy[str]:
    encodable = st.text(st.characters(exclude_categories=["Cs"]), max_size=max_bytes)
    return encodable.filter(lambda text: len(text.encode()) <= max_bytes)


LAB_IDS: Final = exactly(32).map(LabId)
TIMES: Final = st.integers(0, 2**40 - 1)

EPOCHS: Final = st.builds(Epoch, LAB_IDS, LAB_IDS, texts(32), uints(4))

LABELS: Final = st.builds(
    Label,
    st.sampled_from(Reason),
    st.sampled_from(Severity),
    st.integers(0, 100),
    TIMES,
    TIMES,
    st.sampled_from(Tlp),
)

FRONTIERS: Final = st.integers(0, 70).map(
    lambda size: Frontier().extend(hash_leaf(bytes([i])) for i in range(size))
)

COMMITMENTS: Final = st.builds(TableCommitment, uints(8), uints(8), exactly(32))

OFFERS: Final = st.builds(Offer, uints(4), exactly(32).map(Element), uints(8), uints(8), COMMITMENTS)

PARTIES: Final = st.builds(Party, LAB_IDS, exactly(32), OFFERS)

HEADERS: Final = st.builds(
    RoundHeader,
    exactly(16).map(RoundId),
    st.sampled_from(RoundMode),
    st.sampled_from(RoundKind),
    texts(32),
    st.lists(st.tuples(texts(64), uints(2)), max_size=4).map(tuple),
    PARTIES,
    PARTIES,
    texts(200),
    texts(200),
    uints(8),
    uints(8),
)

OUTCOMES: Final = st.one_of(
    st.just((Outcome.COMMITTED, "")),
    st.tuples(st.just(Outcome.ABORTED), st.sampled_from([code.name for code in Code])),
)

CLOSES: Final = st.tuples(exactly(32), exactly(32), exactly(32), OUTCOMES).map(
    lambda fields: CloseStatement(*fields[:3], *fields[3])
)
