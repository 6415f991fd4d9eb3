"""A contract is ours when its own bytecode created it, and a chain is ours when it holds nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from fl_core.errors import VerificationError
from ledger.artifacts import load
from ledger.chain.abi import interface
from ledger.chain.ports import Sent
from ledger.creation import LEDGER, TOKEN, OurContracts, contract_address, read_creation
from ledger.errors import WrongChain
from ledger.reader import LedgerReader
from tests.unit.ledger.embedded_world import CHAIN_ID
from tests.unit.ledger.ledger_world import LedgerWorld

SENDER = b"\x11" * 20
ARGUMENTS = {
    LEDGER: interface(LEDGER).constructor_data([b"\x22" * 20, b"\x33" * 20], [1, 8], 2),
    TOKEN: interface(TOKEN).constructor_data(b"\x22" * 20, 10**12),
}


def creation(name: str, *, to: bytes | None = None, nonce: int = 0, **changes: bytes) -> Sent:
    data = changes.get("data", load(name).bytecode + changes.get("arguments", ARGUMENTS[name]))
    return Sent(sender=SENDER, nonce=nonce, to=to, data=data)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_creation_with_an_artifacts_bytecode_and_arguments_is_ours(name: str) -> None:
    found = read_creation(creation(name, nonce=7))
    assert (found.name, found.address) == (name, contract_address(SENDER, 7))
    assert load(name).bytecode + interface(name).constructor_data(*found.arguments) == creation(name).data


def test_the_address_of_a_new_contract_is_known_from_other_software() -> None:
    """Ethereum's CREATE: the example of the CryptoKitties contract, which block explorers show."""
    sender = bytes.fromhex("ba52c75764d6f594735dc735be7f1830cdf58ddf")
    assert contract_address(sender, 3515).hex() == "06012c8cf97bead5deae237070f9587f8e7a266d"


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (creation(TOKEN, to=b"\x01" * 20), "creates no contract directly"),
        (creation(TOKEN, data=b""), "other code"),
        (creation(TOKEN, data=load(TOKEN).runtime), "other code"),
        (creation(TOKEN, data=load(TOKEN).bytecode[:-1]), "other code"),
        (creation(TOKEN, data=b"\x5b" + load(TOKEN).bytecode + ARGUMENTS[TOKEN]), "other code"),
        (creation(TOKEN, arguments=b""), "arguments of the new RewardToken"),
        (creation(TOKEN, arguments=ARGUMENTS[TOKEN] + b"\0"), "arguments of the new RewardToken"),
        (creation(TOKEN, arguments=b"\1" + ARGUMENTS[TOKEN][1:]), "arguments of the new RewardToken"),
        (creation(LEDGER, arguments=ARGUMENTS[LEDGER] + bytes(32)), "arguments of the new TrainingLedger"),
        (creation(LEDGER, arguments=ARGUMENTS[TOKEN]), "arguments of the new TrainingLedger"),
    ],
)
def test_another_creation_is_refused(sent: Sent, problem: str) -> None:
    with pytest.raises(VerificationError, match=problem):
        read_creation(sent)


def test_a_chain_of_ours_holds_creations_and_calls_of_what_they_created() -> None:
    contracts = OurContracts()
    address = contract_address(SENDER, 0)
    call = Sent(sender=SENDER, nonce=1, to=address, data=b"anything")
    with pytest.raises(VerificationError, match=f"calls 0x{address.hex()}, which is none of"):
        contracts.admit(call)
    contracts.admit(creation(LEDGER))
    contracts.admit(call)
    assert contracts.created.keys() == {address}


def test_a_node_that_has_forgotten_the_creation_is_no_node_to_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LedgerWorld(tmp_path)
    try:
        world.reader.check_creation()
        monkeypatch.setattr(world.connection, "transaction", lambda tx_hash: None)
        with pytest.raises(WrongChain, match="no transaction that created it") as caught:
            world.reader.check_creation()
        assert "use a node that keeps all blocks" in str(caught.value)
    finally:
        world.chain.close()


def test_a_creation_says_which_code_it_leaves(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    try:
        contracts = OurContracts()
        for number in range(1, world.chain.head().block_number + 1):
            (item,) = world.chain.transactions(world.chain.header(number))
            sent = world.connection.transaction(bytes(item.hash))
            assert sent == world.chain.sent(bytes(item.hash))
            contracts.admit(sent)
        assert contracts.created.keys() == {world.address, world.token}
        for address, found in contracts.created.items():
            assert world.connection.code(address) == found.code(CHAIN_ID)
        world.reader.check_creation()
        with pytest.raises(WrongChain, match="no transaction that created it"):
            LedgerReader(world.connection, world.token).check_creation()
        assert world.connection.transaction(bytes(32)) is None
        assert world.chain.sent(bytes(32)) is None
    finally:
        world.chain.close()
