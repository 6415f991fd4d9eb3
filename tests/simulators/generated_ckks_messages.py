"""Every message of the CKKS mode, as hypothesis makes it, with the decoder that reads it back."""

from __future__ import annotations

from hypothesis import strategies as st

from clients.ckks_calls import CkksOrder, CkksProtectCall
from fl_core.secagg.boxes import PUBLIC_KEY_BYTES
from fl_core.secagg.ckks.agreement import KeyPackage, Plan
from fl_core.secagg.ckks.messages import EncryptedSum, Report, Upload
from fl_core.secagg.ckks.steps import CkksBeginCall, Place, TakeCall
from tests.simulators.generated_messages import Kind, addresses, ascending, rounds, signatures, words

some_bytes = st.binary(max_size=30)
several = st.lists(some_bytes, max_size=3).map(tuple)
counts = st.integers(0, 2**64 - 1)
counters = st.lists(counts, max_size=3).map(tuple)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    cohort = draw(ascending(st.integers(3, 5)))
    key = st.binary(min_size=4, max_size=4).map(lambda piece: piece * (PUBLIC_KEY_BYTES // 4))
    return Plan(
        chain_id=draw(st.integers(0, 2**256 - 1)),
        contract=draw(addresses),
        run=draw(words),
        epoch=1,
        cohort=cohort,
        transport_keys=tuple(draw(key) for _ in cohort),
    )


packages = st.builds(
    KeyPackage, plan=words, context=some_bytes, commitment=words, boxes=several, signature=signatures
)
uploads = st.builds(
    Upload, package=words, round=rounds, parent=words, member=addresses, chunks=several, signature=signatures
)
sums = st.builds(
    EncryptedSum, package=words, round=rounds, parent=words, chunks=several, signature=signatures
)
reports = st.builds(
    Report, package=words, round=rounds, total=words, model=words, count=rounds, counters=counters,
    member=addresses, signature=signatures,
)  # fmt: skip
places = st.builds(Place, run=words, round=rounds, parent=words)
take_calls = st.builds(TakeCall, plan=some_bytes, package=some_bytes)
begin_calls = st.builds(CkksBeginCall, place=places, model=some_bytes)
orders = st.builds(CkksOrder, order=some_bytes, model=some_bytes)
protect_calls = st.builds(
    CkksProtectCall,
    place=places,
    update=st.lists(st.binary(min_size=4, max_size=4), max_size=5).map(b"".join),
    examples=counts,
    counters=counters,
)

CKKS_KINDS = (
    Kind("CKKS plan", plans(), Plan.decode),
    Kind("CKKS key package", packages, KeyPackage.decode),
    Kind("CKKS upload", uploads, Upload.decode),
    Kind("CKKS sum", sums, EncryptedSum.decode),
    Kind("CKKS report", reports, Report.decode),
    Kind("CKKS place", places, Place.decode),
    Kind("CKKS take call", take_calls, TakeCall.decode),
    Kind("CKKS order", orders, CkksOrder.decode),
    Kind("CKKS protect call", protect_calls, CkksProtectCall.decode),
)
BEGIN_CALL = Kind("CKKS begin call", begin_calls, CkksBeginCall.decode)
"""Ends with a model of any length, so what trails it is part of it; the model has its own decoder."""
