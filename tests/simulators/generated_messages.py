"""Every message that crosses a wire or lies in a folder, as hypothesis makes it, with the decoder that reads it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from clients.calls import BeginCall, Order, ProtectCall, QuestionCall
from fl_core.models import TensorSpec
from fl_core.protocol.blame_messages import ROWS, BlameAnswer, BlameRequest, Place, Shown
from fl_core.protocol.check_messages import NO_VALUE, CheckAnswer, CheckRequest
from fl_core.protocol.exclusions import Exclusion, Exclusions, Reason
from fl_core.protocol.header import RoundHeader, Seat
from fl_core.protocol.messages import Frame, Leaf, Reveal, RevealRequest, Sealed
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.protocol.statements import BlameStatement, CheckStatement, Contribution, RevealStatement
from fl_core.protocol.terms import Terms
from fl_core.protocol.weights import WeightOpening, WeightRequest
from fl_core.quantise import Block
from fl_core.secagg.boxes import PUBLIC_KEY_BYTES
from ledger.papers import RoundPaper, RunPaper, SealPaper

addresses = st.binary(min_size=20, max_size=20)
words = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=65, max_size=65)
rounds = st.integers(1, 2**32 - 1)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
printed = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), max_size=20)
hexadecimal = words.map(bytes.hex)
tensor_names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,12}", fullmatch=True)
small = st.integers(0, 3)


def ascending(count: int | st.SearchStrategy[int] = small) -> st.SearchStrategy[tuple[bytes, ...]]:
    sizes = st.just(count) if isinstance(count, int) else count
    return sizes.flatmap(
        lambda n: st.lists(addresses, min_size=n, max_size=n, unique=True).map(lambda a: tuple(sorted(a)))
    )


blocks = st.builds(Block, name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9),
                   size=st.integers(1, 2**64 - 1), clip=st.floats(2.0**-60, 2.0**60))  # fmt: skip


@st.composite
def headers(draw: st.DrawFn) -> RoundHeader:
    cohort, committee = draw(ascending(st.integers(1, 4))), draw(ascending(st.integers(1, 4)))
    return RoundHeader(
        chain_id=draw(st.integers(0, 2**64 - 1)),
        contract=draw(addresses),
        run=draw(words),
        round=draw(rounds),
        parent=draw(words),
        artifact=draw(words),
        parameter_set=draw(names),
        packing=draw(names),
        blocks=tuple(draw(st.lists(blocks, min_size=1, max_size=3, unique_by=lambda b: b.name))),
        counters=tuple(draw(st.lists(names, max_size=3, unique=True))),
        weight_cap=draw(st.integers(1, 2**32 - 1)),
        cohort=cohort,
        committee=tuple(Seat(address=address, transport_key=draw(words)) for address in committee),
        threshold=draw(st.integers(1, len(committee))),
        n_min=draw(st.integers(1, len(cohort))),
        deadline=draw(st.integers(0, 2**64 - 1)),
        beacon_number=draw(st.integers(0, 2**64 - 1)),
        beacon=draw(words),
    )


contributions = st.builds(
    Contribution, run=words, round=rounds, member=addresses, header=words, parent=words, ciphertext=words,
    boxes=words, dataset=words, weight=words, metrics=words,
)  # fmt: skip
leaves = st.builds(Leaf, statement=contributions, signature=signatures)
boxes = st.lists(st.binary(max_size=40), max_size=3).map(tuple)
CIPHERTEXT_BYTES = 24
frames = st.builds(
    Frame,
    leaf=leaves,
    boxes=boxes,
    ciphertext=st.binary(min_size=CIPHERTEXT_BYTES, max_size=CIPHERTEXT_BYTES),
)
reveals = st.builds(
    Reveal,
    statement=st.builds(
        RevealStatement, run=words, round=rounds, member=addresses, header=words, included=words, shares=words
    ),
    shares=st.binary(max_size=60),
    signature=signatures,
)

check_answers = st.builds(
    CheckAnswer,
    statement=st.builds(
        CheckStatement, run=words, round=rounds, member=addresses, header=words, accepted=words, values=words
    ),
    values=st.lists(st.integers(0, NO_VALUE), max_size=4).map(tuple),
    signature=signatures,
)
receipts = st.one_of(st.just(b""), signatures)


@st.composite
def sealed_sets(draw: st.DrawFn) -> tuple[Sealed, ...]:
    found = []
    for member in draw(ascending()):
        leaf = draw(leaves)
        statement = Contribution(
            **{f: getattr(leaf.statement, f) for f in leaf.statement.__slots__} | {"member": member}
        )
        leaf = Leaf(statement=statement, signature=leaf.signature)
        digests = tuple(draw(st.lists(words, max_size=3)))
        found.append(Sealed(leaf=leaf, box_digests=digests, box=draw(st.binary(max_size=40))))
    return tuple(found)


weight_openings = st.builds(
    WeightOpening, header=words, member=addresses, units=st.integers(1, 2**32 - 1), salt=words
)


@st.composite
def weight_requests(draw: st.DrawFn) -> WeightRequest:
    pairs = tuple((member, draw(words)) for member in draw(ascending()))
    return WeightRequest(header=draw(words), included=pairs)


blame_answers = st.builds(
    BlameAnswer,
    statement=st.builds(
        BlameStatement,
        run=words,
        round=rounds,
        member=addresses,
        header=words,
        included=words,
        place=words,
        values=words,
    ),
    values=st.lists(st.integers(0, 2**64 - 1), max_size=4).map(tuple),
    signature=signatures,
)
prekeys = st.builds(
    SignedPrekey,
    member=addresses,
    epoch=rounds,
    public=st.binary(min_size=PUBLIC_KEY_BYTES, max_size=PUBLIC_KEY_BYTES),
    signature=signatures,
)
check_requests = st.builds(CheckRequest, header=words, accepted=sealed_sets(), receipt=receipts)


def exactly(count: int, made: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(made, min_size=count, max_size=count).map(tuple)


@st.composite
def blame_requests(draw: st.DrawFn) -> BlameRequest:
    proofs = st.lists(words, max_size=2).map(tuple)
    included = tuple(
        Shown(
            sealed=sealed,
            rows=draw(exactly(ROWS, st.binary(max_size=20))),
            proofs=draw(exactly(ROWS, proofs)),
        )
        for sealed in draw(sealed_sets())
    )
    place = Place(element=draw(st.integers(0, 2**64 - 1)), coefficient=draw(st.integers(0, 2**32 - 1)))
    return BlameRequest(header=draw(words), key=draw(st.binary(max_size=40)), place=place, included=included)


@st.composite
def requests(draw: st.DrawFn) -> RevealRequest:
    return RevealRequest(
        header=draw(words),
        accepted=tuple((member, draw(words)) for member in draw(ascending())),
        included=draw(sealed_sets()),
        receipt=draw(receipts),
    )


@st.composite
def exclusions(draw: st.DrawFn) -> Exclusions:
    excluded = tuple(
        Exclusion(client=client, reason=draw(st.sampled_from(Reason)), disputed_by=draw(ascending()))
        for client in draw(ascending())
    )
    return Exclusions(excluded=excluded, unreliable=draw(ascending()))


settings_of_a_task = st.dictionaries(
    printed,
    st.one_of(printed, st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False)),
    max_size=3,
)
positive = st.floats(2.0**-40, 2.0**40)


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    tensors = draw(
        st.dictionaries(
            tensor_names, st.lists(st.integers(1, 9), max_size=3).map(tuple), min_size=1, max_size=3
        )
    )
    texts = (
        "title",
        "purpose",
        "task",
        "initial_model",
        "strategy",
        "parameter_set",
        "packing",
        "reward_policy",
        "bundle",
    )
    return Terms(
        **{name: draw(printed) for name in texts},
        task_settings=draw(settings_of_a_task),
        tensors=tuple(TensorSpec(name, shape) for name, shape in sorted(tensors.items())),
        rounds=draw(rounds),
        weight_cap=draw(rounds),
        counters=tuple(draw(st.lists(printed, max_size=3))),
        initial_clip=draw(positive),
        clip_floor=draw(positive),
        clip_factor=draw(positive),
        n_min=draw(st.integers(1, 10_000)),
        reward_per_round=draw(st.integers(0, 2**100)),
    )


orders = st.builds(
    Order, header=st.one_of(st.just(""), hexadecimal), round=st.integers(0, 2**32 - 1), task=names,
    settings=settings_of_a_task, data=names, holder=names,
)  # fmt: skip
begin_calls = st.builds(BeginCall, header=st.binary(max_size=40), model=st.binary(max_size=40))
protect_calls = st.builds(
    ProtectCall,
    header=words,
    update=st.lists(st.binary(min_size=4, max_size=4), max_size=5).map(b"".join),
    examples=st.integers(0, 2**64 - 1),
    counters=st.lists(st.integers(0, 2**64 - 1), max_size=3).map(tuple),
    prekeys=st.lists(st.binary(max_size=30), max_size=3).map(tuple),
)
question_calls = st.builds(QuestionCall, request=st.binary(max_size=60))

maps = st.dictionaries(addresses.map(bytes.hex), hexadecimal, max_size=3)
run_papers = st.builds(
    RunPaper, chain_id=st.integers(1, 2**53), contract=hexadecimal, token=hexadecimal, run=hexadecimal,
    terms=hexadecimal, initial_model=hexadecimal, transport_keys=maps, names=st.dictionaries(names, names, max_size=3),
)  # fmt: skip
round_papers = st.builds(
    RoundPaper, round=rounds, header=hexadecimal, leaves=maps, included=st.lists(hexadecimal, max_size=3),
    exclusions=hexadecimal, ciphertexts=maps, prekeys=maps, checks=maps, reveals=maps,
    blames=maps, blamed=st.lists(hexadecimal, max_size=3), weights=maps, aggregate_key=hexadecimal, metrics=hexadecimal,
    rewards=hexadecimal, model=hexadecimal,
)  # fmt: skip
seal_papers = st.builds(SealPaper, run=hexadecimal, files=maps, signature=hexadecimal)


@dataclass(frozen=True)
class Kind:
    """A message: how to make one, and how to read one."""

    name: str
    made: st.SearchStrategy[Any]
    decode: Callable[[bytes], Any]
    text: bool = False
    """Whether the form is JSON, in which other bytes than a prefix or an appendix can be cut or added."""

    def __repr__(self) -> str:
        return self.name


KINDS = (
    Kind("round header", headers(), RoundHeader.decode),
    Kind("leaf", leaves, Leaf.decode),
    Kind("frame", frames, lambda data: Frame.decode(data, ciphertext_bytes=CIPHERTEXT_BYTES)),
    Kind("check request", check_requests, CheckRequest.decode),
    Kind("check answer", check_answers, CheckAnswer.decode),
    Kind("exclusions", exclusions(), Exclusions.decode, text=True),
    Kind("prekey", prekeys, SignedPrekey.decode),
    Kind("blame request", blame_requests(), BlameRequest.decode),
    Kind("blame answer", blame_answers, BlameAnswer.decode),
    Kind("weight request", weight_requests(), WeightRequest.decode),
    Kind("weight opening", weight_openings, WeightOpening.decode),
    Kind("reveal request", requests(), RevealRequest.decode),
    Kind("reveal", reveals, Reveal.decode),
    Kind("terms", terms(), Terms.decode, text=True),
    Kind("order", orders, Order.decode, text=True),
    Kind("begin call", begin_calls, BeginCall.decode),
    Kind("protect call", protect_calls, ProtectCall.decode),
    Kind("run paper", run_papers, RunPaper.decode, text=True),
    Kind("round paper", round_papers, RoundPaper.decode, text=True),
    Kind("seal paper", seal_papers, SealPaper.decode, text=True),
)
