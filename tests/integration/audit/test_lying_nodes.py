"""An audit over JSON-RPC finds out what a node dropped, invented, altered or withheld; and says what one node can still do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clients.door import Method
from fl_core.models.step import apply_step
from ledger.audit.checks.table import LEDGER
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Outcome, Verdict
from ledger.audit.node_reading import NodeReading
from ledger.audit.papers import open_folder
from ledger.audit.verify import perform
from ledger.chain.abi import interface
from ledger.chain.connection import Web3Connection
from tests.simulators.anvil import Anvil
from tests.simulators.founded_run import RunWithNodes, found
from tests.simulators.lying_node import Lie, consistent, lying, root_of
from tests.simulators.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.anvil, pytest.mark.network]
LEDGER_EVENTS = interface("TrainingLedger")
CONSENT = "0x" + LEDGER_EVENTS.event("Consent").topic.hex()


class Played:
    """A run with one finished round on a node."""

    def __init__(self, folder: Path, node: Anvil) -> None:
        self.node = node
        self.folder = found(folder, rounds=3, node=node.url)
        world = RunWithNodes(self.folder)
        try:
            session = world.open_round()
            for account, request in world.included(session).items():
                session.add_reveal(world.holders[account].call(Method.REVEAL, request))
            session.finalise(apply_step(world.run.terms.strategy, session.tensors, session.open().update))
        finally:
            world.close()
        node.mine(2)  # blocks that log nothing
        query = {"fromBlock": "0x0", "toBlock": "latest", "topics": [CONSENT]}
        self.victim = int(node.ask("eth_getLogs", query)[1]["blockNumber"], 16)
        """The block of a consent."""

    def audit(self, *urls: str, max_blocks: int = 1000) -> Outcome:
        """Make the check of the ledger through nodes."""
        connections = {f"node {n}": Web3Connection(url) for n, url in enumerate(urls, start=1)}
        with Evidence(open_folder(self.folder), NodeReading(connections, max_blocks=max_blocks)) as evidence:
            (outcome,) = perform(evidence, (LEDGER,))
        return outcome

    def through(self, *lies: Lie | None, max_blocks: int = 1000) -> Outcome:
        """Make the check through nodes of which each lies in one way, or not at all."""
        with ExitStack() as stack:
            urls = [
                self.node.url if lie is None else stack.enter_context(lying(self.node.url, lie))
                for lie in lies
            ]
            return self.audit(*urls, max_blocks=max_blocks)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with Anvil() as node:
        yield Played(tmp_path_factory.mktemp("played") / "run", node)


def problem(outcome: Outcome) -> str:
    assert outcome.verdict is Verdict.FAIL, outcome.summary
    return " ".join(fault.problem for fault in outcome.faults)


# ------------------------------------------------------------------------------------------------------- lies


def events_of(played: Played, change: Any) -> Lie:
    """Change the receipts of the victim's block, wherever a node tells of them."""

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockReceipts" and int(params[0], 16) == played.victim:
            return change(result)
        return result

    return lie


def dropped(receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**receipt, "logs": receipt["logs"][:-1]} for receipt in receipts]


def invented(receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**receipt, "logs": [*receipt["logs"], receipt["logs"][-1]]} for receipt in receipts]


def altered(receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (receipt,) = receipts
    *logs, last = receipt["logs"]
    flipped = "0x" + last["data"][2:].translate(str.maketrans("01", "10"))
    return [{**receipt, "logs": [*logs, {**last, "data": flipped}]}]


def emptied(receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return []


LIES = {"drops an event": dropped, "invents one": invented, "alters one": altered, "has no receipts": emptied}


def test_an_honest_node_passes_and_what_stands_behind_it_is_said(played: Played) -> None:
    one = played.through(None)
    assert one.verdict is Verdict.PASS, one.faults
    assert "events proven from headers; one node's word for block" in one.summary
    two = played.through(None, lambda method, params, result: result)
    assert two.verdict is Verdict.PASS and "2 nodes for block" in two.summary


@pytest.mark.parametrize("change", LIES.values(), ids=LIES.keys())
def test_receipts_that_are_not_the_headers_are_refused(played: Played, change: Any) -> None:
    words = problem(played.through(events_of(played, change)))
    assert f"the receipts of block {played.victim} give the root" in words


@pytest.mark.parametrize("change", LIES.values(), ids=LIES.keys())
def test_a_header_that_was_made_to_fit_forged_receipts_is_not_on_the_chain(
    played: Played, change: Any
) -> None:
    """The liar changes receipts, root and hash of the block; the next block names another parent."""
    receipts = change(played.node.ask("eth_getBlockReceipts", hex(played.victim)))
    lie_of_events = events_of(played, change)

    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and int(result["number"], 16) == played.victim:
            return consistent(result, receiptsRoot=root_of(receipts))
        return lie_of_events(method, params, result)

    assert f"does not follow its block {played.victim}" in problem(played.through(lie))


def test_a_bloom_that_hides_a_block_is_not_on_the_chain(played: Played) -> None:
    def lie(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and int(result["number"], 16) == played.victim:
            return {**result, "logsBloom": "0x" + "00" * 256}
        return result

    assert "its fields give" in problem(played.through(lie))


def test_what_eth_getlogs_says_is_not_believed(played: Played) -> None:
    """A truncated range, a dropped, an invented event: nobody asks for them."""
    asked: list[str] = []

    def lie(method: str, params: list[Any], result: Any) -> Any:
        asked.append(method)
        return result[: len(result) // 2] if method == "eth_getLogs" else result

    assert played.through(lie).verdict is Verdict.PASS
    assert "eth_getLogs" not in asked and "eth_getBlockReceipts" in asked


def test_a_history_that_is_too_long_to_follow_needs_two_nodes_that_show_the_same_events(
    played: Played,
) -> None:
    def truncated(method: str, params: list[Any], result: Any) -> Any:
        return result[:-1] if method == "eth_getLogs" else result

    assert "Name a second node" not in problem(played.through(None, max_blocks=3))
    assert "at most 3 are followed back" in problem(played.through(None, max_blocks=3))
    assert "differ about the events" in problem(played.through(None, truncated, max_blocks=3))
    same = played.through(None, lambda method, params, result: result, max_blocks=3)
    assert same.verdict is Verdict.PASS and "events the same at all nodes" in same.summary


def test_a_node_with_another_head_is_found_out_by_a_second_one(played: Played) -> None:
    height = played.node.height()

    def other(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and int(result["number"], 16) == height:
            return consistent(result, stateRoot="0x" + "77" * 32)
        return result

    assert "the nodes show different blocks" in problem(played.through(None, other))
    # alone it is found out as well where it proves records: the state is not the one that it has proofs for
    assert "proof" in problem(played.through(other))


def test_a_node_that_hides_its_newest_blocks_is_found_out_by_a_second_one(played: Played) -> None:
    newest = played.node.ask("eth_getBlockByNumber", hex(played.victim), False)

    def stale(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == "latest":
            return newest
        return result

    assert "blocks more than block" in problem(played.through(None, stale))


def test_a_node_of_another_chain_is_refused(played: Played) -> None:
    def lie(method: str, params: list[Any], result: Any) -> Any:
        return hex(77) if method == "eth_chainId" else result

    assert "serves chain 77" in problem(played.through(lie))
    assert "node 2 serves chain 77" in problem(played.through(None, lie))


def test_what_a_node_says_about_views_and_transactions_is_not_asked_for(played: Played) -> None:
    """Views follow from proven storage, and the creation and the hashes of transactions from the blocks."""
    asked: list[str] = []

    def lie(method: str, params: list[Any], result: Any) -> Any:
        asked.append(method)
        if method == "eth_getBlockReceipts":
            return [{**receipt, "transactionHash": "0x" + "77" * 32} for receipt in result]
        return result

    assert played.through(lie).verdict is Verdict.PASS
    assert not {"eth_call", "eth_getTransactionByHash", "eth_getTransactionReceipt"} & set(asked)


def test_storage_that_a_node_falsifies_is_found_out(played: Played) -> None:
    """The sponsor of the run: the word in the answer does not count, and the proof does not lead to another one."""
    other = "0x" + "ab" * 20

    def words(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getProof":
            return {**result, "storageProof": [{**entry, "value": other} for entry in result["storageProof"]]}
        return result

    def nodes(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getProof":
            bare = [{**entry, "proof": entry["proof"][:-1]} for entry in result["storageProof"]]
            return {**result, "storageProof": bare}
        return result

    assert played.through(words).verdict is Verdict.PASS
    assert "does not lead from the root" in problem(played.through(nodes))


def test_a_creation_that_a_node_falsifies_is_found_out(played: Played) -> None:
    """Another sender, another code: whoever shows it must change the block, and the block is bound."""

    def changed(field: str, value: str) -> Lie:
        def lie(method: str, params: list[Any], result: Any) -> Any:
            if method == "eth_getBlockByNumber" and params[1] and result["transactions"]:
                first, *rest = result["transactions"]
                return {**result, "transactions": [{**first, field: value}, *rest]}
            return result

        return lie

    for field, value in (("input", "0x60"), ("nonce", "0x77"), ("r", "0x77")):
        assert "dropped, invented or altered" in problem(played.through(changed(field, value)))
    # who sent it is in the signature, whatever a node says
    assert played.through(changed("from", "0x" + "77" * 20)).verdict is Verdict.PASS


def test_code_that_is_not_in_the_state_is_refused(played: Played) -> None:
    def lie(method: str, params: list[Any], result: Any) -> Any:
        return result + "00" if method == "eth_getCode" else result

    assert "does not have the hash in the state" in problem(played.through(lie))


def test_views_are_proven_where_the_history_is_too_long_to_follow(played: Played) -> None:
    asked: list[str] = []

    def listen(method: str, params: list[Any], result: Any) -> Any:
        asked.append(method)
        return result

    assert played.through(listen, None, max_blocks=3).verdict is Verdict.PASS
    assert "eth_call" not in asked and "eth_getLogs" in asked


def test_the_command_takes_several_nodes_and_a_liar_among_them_costs_the_verdict(
    played: Played, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(monkeypatch, capsys)
    words = ("suture-audit", "verify", played.folder, "--json", "--rpc", played.node.url, "--rpc")
    with (
        lying(played.node.url, events_of(played, dropped)) as first,
        lying(
            played.node.url, lambda method, params, result: hex(5) if method == "eth_chainId" else result
        ) as second,
    ):
        honest = {c["name"]: c for c in terminal.run(*words, first).json["checks"]}["ledger"]
        assert honest["verdict"] == "pass" and "2 nodes" in honest["summary"]
        false = {c["name"]: c for c in terminal.run(*words, second).json["checks"]}["ledger"]
        assert false["verdict"] == "fail"
    wrong = ("suture-audit", "verify", played.folder, "--validators", "0x" + "11" * 20)
    assert "Name one with --rpc" in terminal.refused(*wrong, code=3)
    sealed = terminal.run(*words[:-1], "--validators", "0x" + "11" * 20).json["checks"]
    assert "not one of a QBFT chain" in str(sealed)
