"""A node behind a relay has outward connections only: it executes and co-signs every block, and a forged head stops it."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.calls import BeginCall
from clients.door import Method
from clients.hospital import Hospital
from clients.node.house import ledger_at_hand, open_house, open_node, read_copy
from clients.node.relay_client import RelayClient
from clients.node.service import Node
from clients.node.summary import ask_ledger
from coordinator.context import RunContext
from coordinator.engines.ports import reserve
from coordinator.history import MAX_MODEL_BYTES, newest_model
from coordinator.session import RoundSession
from fl_core.models import decode_model, encode_model
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.randomness import SystemRandomSource
from ledger.chain.embedded.source import FileSource
from ledger.checkpoints import SignedCheckpoint
from ledger.errors import ChainUnreachable, HistoryRewritten
from ledger.records import Head
from tests.simulators.certificates import make_certificates
from tests.simulators.founded_run import coordinator_of, copied, found, now
from tests.simulators.relay_service import relaying

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("founded") / "run", rounds=3)


class Far:
    """A run whose first hospital sees nothing of it but the relay, and whose others follow the file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificates = make_certificates(folder.parent / "certificates")
        [self.port] = reserve([None])
        places = sorted((folder / "nodes").iterdir())
        self.house = Path(shutil.move(places[0], folder.parent / "far"))
        shutil.rmtree(self.house / "chain", ignore_errors=True)
        config = self.house / "node.toml"
        config.write_text(config.read_text().replace(str(folder.resolve()), "/nowhere"))
        self.near = [Hospital(place, clock=now, random=SystemRandomSource()) for place in places[1:]]
        self.closing: list[Callable[[], None]] = [hospital.close for hospital in self.near]

    def relay(self, **changes: object):
        return relaying(self.folder, self.certificates, self.port, **changes)

    def node(self) -> Node:
        house = open_house(self.house)
        assert house.ledger is not None
        client = RelayClient(
            f"https://127.0.0.1:{self.port}",
            self.certificates.authority,
            chain_id=house.ledger.chain_id,
            contract=bytes.fromhex(house.ledger.contract),
            account=house.account,
        )
        node = open_node(house, clock=now, random=SystemRandomSource(), relay=client)
        self.closing += [node.close, client.close]
        return node

    def near_nodes(self) -> list[Node]:
        for hospital in self.near:
            hospital.serve_in_process()
        return [hospital._node for hospital in self.near if hospital._node is not None]

    def close(self) -> None:
        for close in reversed(self.closing):
            close()


@pytest.fixture
def far(founded: Path, tmp_path: Path) -> Iterator[Far]:
    made = Far(copied(founded, tmp_path / "run"))
    yield made
    made.close()


def opened(run: RunContext, nodes: list[Node]) -> RoundSession:
    """Open the next round for these nodes."""
    for node in nodes:
        status = json.loads(node.call(Method.STATUS, b""))
        run.prekeys[node.account.address] = SignedPrekey.decode(bytes.fromhex(status["prekey"]))
    _, artifact = newest_model(run)
    model = decode_model(run.archive.get(artifact, MAX_MODEL_BYTES), MAX_MODEL_BYTES)
    return RoundSession(run, model, sorted(run.prekeys), now() + 3600)


def begin(session: RoundSession, node: Node) -> None:
    call = BeginCall(header=session.header.encode(), model=encode_model(session.tensors))
    node.call(Method.BEGIN, call.encode())


def becomes(asked: Callable[[], bool], seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while not asked():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def signed_by(far: Far, account: bytes) -> int:
    """The newest block that a member signed, as the run's board has it."""
    path = far.folder / "public" / "checkpoints" / account.hex()
    return SignedCheckpoint.decode(path.read_bytes()).number if path.exists() else -1


def head(run: RunContext) -> Head:
    return run.reader.head()


def test_a_node_behind_a_relay_executes_and_co_signs_every_block_and_its_signature_counts(far: Far) -> None:
    with far.relay(), coordinator_of(far.folder) as run:
        node, others = far.node(), far.near_nodes()
        far.near[-1].close()  # three of four hospitals: none of them can be missed
        session = opened(run, [node, *others[:2]])
        for one in (node, *others[:2]):
            begin(session, one)
        assert node.reader is not None and node.reader.head() == head(run)
        assert signed_by(far, node.account.address) == head(run).number
        assert (far.house / "chain" / "ledger.sqlite").is_file()

        before = head(run).number
        run.writer.abort_round(run.run, session.header.round, intent="abort")
        assert head(run).number > before
        assert becomes(lambda: signed_by(far, node.account.address) == head(run).number), (
            "without being asked"
        )


def test_a_decision_waits_for_a_relay_that_is_away_and_goes_on(far: Far) -> None:
    others = far.near_nodes()
    with coordinator_of(far.folder) as run:
        with far.relay():
            node = far.node()
            session = opened(run, [node, *others])
        asked = threading.Thread(target=begin, args=(session, node))
        asked.start()
        time.sleep(0.5)
        assert asked.is_alive(), "nothing is decided without the ledger"
        with far.relay():
            asked.join(300.0)
            assert not asked.is_alive()
            assert node.register.header(session.header.digest) == session.header.encode()


def test_a_decision_is_refused_when_the_relay_stays_away(far: Far) -> None:
    others = far.near_nodes()
    with coordinator_of(far.folder) as run:
        with far.relay():
            node = far.node()
            session = opened(run, [node, *others])
        node.settle_ledger.__self__._patience_s = 0.5  # type: ignore[attr-defined]
        with pytest.raises(ChainUnreachable, match="relay"):
            begin(session, node)


def test_a_forged_head_is_refused_with_evidence_and_nothing_is_decided(
    far: Far, founded: Path, tmp_path: Path
) -> None:
    others = far.near_nodes()
    with coordinator_of(far.folder) as run, far.relay():
        node = far.node()
        session = opened(run, [node, *others])
        begin(session, node)
        number = head(run).number
    forged = copied(founded, tmp_path / "forged")
    with coordinator_of(forged) as liar:  # the coordinator itself, telling this node another story
        parent, _ = newest_model(liar)
        liar.writer.open_round(liar.run, 1, parent, bytes([7]) * 32, intent="open")
        liar.vouch()
        assert head(liar).number == number
    source = FileSource(forged / "public" / "ledger.sqlite")
    far.closing.append(source.close)
    with far.relay(blocks=source):
        with pytest.raises(HistoryRewritten, match=f"Block {number}"):
            begin(session, node)
        assert signed_by(far, node.account.address) == number, "what it signed stands; it signs nothing else"
        copy = read_copy(open_house(far.house))
        assert copy is not None and copy.head.number == number
        assert len(list((far.house / "chain" / "evidence").glob("*.json"))) == 1


def test_a_relay_without_blocks_is_one_that_cannot_be_asked_and_accuses_nobody(far: Far) -> None:
    others = far.near_nodes()
    with coordinator_of(far.folder) as run:
        with far.relay():
            node = far.node()
            session = opened(run, [node, *others])
        node.settle_ledger.__self__._patience_s = 0.5  # type: ignore[attr-defined]
        with far.relay(blocks=None), pytest.raises(ChainUnreachable):
            begin(session, node)
    assert not list((far.house / "chain").glob("evidence/*"))


def test_commands_read_the_nodes_own_copy_where_the_chains_file_is_on_another_machine(far: Far) -> None:
    assert ask_ledger(open_house(far.house)) is None, "there is no copy yet, and no file"
    others = far.near_nodes()
    with coordinator_of(far.folder) as run, far.relay():
        node = far.node()
        begin(opened(run, [node, *others]), node)
        number = head(run).number
    house = open_house(far.house)
    asked, copy, address = ask_ledger(house), read_copy(house), ledger_at_hand(far.house)
    assert asked is not None and asked.head == number and len(asked.consents) == 1
    assert copy is not None and copy.head.number == number and copy.final >= number - 1
    assert address is not None and address.path == (far.house / "chain" / "ledger.sqlite").resolve()
    near = far.near[0]._house
    assert ledger_at_hand(near.folder) == near.ledger, "where the file is at hand it is read"
