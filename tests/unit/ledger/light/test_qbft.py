"""QBFT as Besu has it: extra data, the block's hash without seals, and how many seals a block needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import rlp

from fl_core.errors import DecodeError, VerificationError
from ledger.chain.jsonrpc import Json, data
from ledger.light.header import MAX_EXTRA_BYTES, Header
from ledger.light.qbft import (
    ExtraData,
    Vote,
    block_hash,
    check_seals,
    genesis_extra_data,
    quorum,
)
from tests.simulators.qbft_chain import Validators

VECTORS = json.loads(
    (Path(__file__).resolve().parents[3] / "vectors" / "ledger" / "besu_qbft.json").read_text()
)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def test_besus_own_vector_is_decoded_and_encoded() -> None:
    vector = VECTORS["codec"]
    extra = ExtraData(
        vanity=unhex(vector["vanity"]),
        validators=tuple(map(unhex, vector["validators"])),
        vote=Vote(subject=unhex(vector["vote"]["subject"]), add=vector["vote"]["add"]),
        round=vector["round"],
        seals=tuple(map(unhex, vector["seals"])),
    )
    assert ExtraData.decode(unhex(vector["extraData"])) == extra
    assert data(extra.encode()) == vector["extraData"]


def test_the_genesis_of_besus_documentation_is_reproduced() -> None:
    vector = VECTORS["genesis"]
    validators = tuple(map(unhex, vector["validators"]))
    assert data(ExtraData(validators=validators).encode()) == vector["extraData"]
    assert ExtraData.decode(unhex(vector["extraData"])).validators == validators
    in_order = ExtraData.decode(genesis_extra_data(validators))
    assert in_order == ExtraData(validators=tuple(sorted(validators)))  # blocks list them ascending


def test_a_vote_adds_drops_or_is_absent() -> None:
    for vote in (None, Vote(subject=b"\x01" * 20, add=True), Vote(subject=b"\x01" * 20, add=False)):
        extra = ExtraData(validators=(b"\x02" * 20,), vote=vote, round=0)
        assert ExtraData.decode(extra.encode()) == extra


GOOD: list[object] = [bytes(32), [b"\x01" * 20], [], b"", []]
BAD: dict[str, bytes] = {
    "nothing": b"",
    "a list of four": rlp.encode(GOOD[:4]),
    "a list of six": rlp.encode([*GOOD, b""]),
    "a vanity of 31 bytes": rlp.encode([bytes(31), *GOOD[1:]]),
    "a validator of 19 bytes": rlp.encode([GOOD[0], [bytes(19)], *GOOD[2:]]),
    "validators that are bytes": rlp.encode([GOOD[0], bytes(20), *GOOD[2:]]),
    "a vote of three": rlp.encode([*GOOD[:2], [bytes(20), b"", b""], b"", []]),
    "a vote that does neither": rlp.encode([*GOOD[:2], [bytes(20), b"\xaa"], b"", []]),
    "a round with a leading zero": rlp.encode([*GOOD[:3], b"\x00\xdc\xba", []]),
    "a round of five bytes": rlp.encode([*GOOD[:3], b"\x01" * 5, []]),
    "a round that is a list": rlp.encode([*GOOD[:3], [], []]),
    "a seal of 64 bytes": rlp.encode([*GOOD[:4], [bytes(64)]]),
    "bytes behind it": rlp.encode(GOOD) + b"\x00",
    "lists in lists": b"\xc1" * 2000 + b"\xc0",
    "too many bytes": rlp.encode([*GOOD[:4], [bytes(65)] * 600]),
}


@pytest.mark.parametrize("encoded", BAD.values(), ids=BAD.keys())
def test_extra_data_that_is_not_canonical_is_refused(encoded: bytes) -> None:
    with pytest.raises(DecodeError):
        ExtraData.decode(encoded)
    assert ExtraData.decode(rlp.encode(GOOD)).validators == (b"\x01" * 20,)
    assert len(BAD["too many bytes"]) > MAX_EXTRA_BYTES


@pytest.mark.parametrize(
    ("validators", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (10, 7), (13, 9)]
)
def test_two_thirds_rounded_up_are_needed(validators: int, needed: int) -> None:
    assert quorum(validators) == needed


@pytest.fixture(scope="module")
def four() -> Validators:
    return Validators(4)


def test_a_block_with_enough_seals_is_final(four: Validators) -> None:
    for signers in (range(3), range(1, 4), range(4)):
        header = Header.of(four.seal(four.block(), signers))
        assert check_seals(header, four.addresses) == {four.address(n) for n in signers}


def test_seals_and_round_are_not_in_the_hash_and_the_round_is_in_what_is_sealed(four: Validators) -> None:
    block = four.block(round_number=3)
    first, second = (Header.of(four.seal(block, signers)) for signers in (range(3), range(1, 4)))
    assert first.extra_data != second.extra_data
    assert block_hash(first) == block_hash(second) == block_hash(Header.of(four.block(round_number=0)))
    extra = ExtraData.decode(first.extra_data)
    moved = Header.of(block | {"extraData": data(replace(extra, round=2).encode())})
    assert block_hash(moved) == block_hash(first)
    with pytest.raises(VerificationError, match="0 of the 3 seals"):
        check_seals(moved, four.addresses)


def test_block_0_is_hashed_as_it_is(four: Validators) -> None:
    genesis = four.block(number=0)
    header = Header.of(genesis)
    assert block_hash(header) == header.hash_with(header.extra_data)


TAMPERED: dict[str, Json] = {
    "another state": {"stateRoot": "0x" + "99" * 32},
    "another height": {"number": "0x6"},
    "another parent": {"parentHash": "0x" + "98" * 32},
    "another time": {"timestamp": "0x67"},
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
def test_seals_do_not_fit_another_block(four: Validators, change: Json) -> None:
    sealed = four.seal(four.block(), range(4))
    with pytest.raises(VerificationError, match="0 of the 3 seals"):
        check_seals(Header.of({**sealed, **change}), four.addresses)


def test_too_few_seals_are_refused(four: Validators) -> None:
    with pytest.raises(VerificationError, match="2 of the 3 seals"):
        check_seals(Header.of(four.seal(four.block(), range(2))), four.addresses)
    with pytest.raises(VerificationError, match="1 of the 3 seals"):
        check_seals(Header.of(four.seal(four.block(), [0, 0, 0, 0])), four.addresses)  # one seal, four times
    with pytest.raises(VerificationError, match="0 of the 3 seals"):
        check_seals(Header.of(four.block()), four.addresses)


def test_seals_of_strangers_and_garbage_do_not_count(four: Validators) -> None:
    strangers = Validators(4, "stranger")
    block = four.block()
    for seals in ([strangers.sign(block, n) for n in range(4)], [b"\xff" * 65] * 4, [bytes(65)] * 4):
        with pytest.raises(VerificationError, match="0 of the 3 seals"):
            check_seals(Header.of(four.with_seals(block, seals)), four.addresses)


def test_another_set_of_validators_is_refused(four: Validators) -> None:
    strangers = Validators(4, "stranger")
    with pytest.raises(VerificationError, match="another set of 4 validators"):
        check_seals(Header.of(strangers.seal(strangers.block(), range(4))), four.addresses)
    more = Validators(5)
    with pytest.raises(VerificationError, match="another set of 5 validators than the 4"):
        check_seals(Header.of(more.seal(more.block(), range(5))), four.addresses)


def test_a_block_of_another_kind_of_chain_is_refused(four: Validators) -> None:
    plain = four.block() | {"mixHash": "0x" + "00" * 32}
    with pytest.raises(VerificationError, match="not one of a QBFT chain"):
        check_seals(Header.of(plain), four.addresses)
