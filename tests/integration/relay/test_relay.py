"""The relay over TLS on the loopback interface, with a real ledger, the real file of duties and real nodes."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from clients.door import Method
from clients.node.relay_client import Duties as NodeDuties
from clients.node.relay_client import RelayBlocks, RelayBoard, RelayClient, RelayError
from coordinator.committee import RelayCommittee
from coordinator.engines.ports import reserve
from coordinator.relay.rate import Rate
from coordinator.store.duties import Duties
from coordinator.strategy import REVEAL, SHARE_CHECK
from fl_core.protocol.relay import MAX_CALL, MAX_DUTY, Answer, CallKind, Duty, DutyKind, Poll
from fl_core.randomness import SystemRandomSource
from ledger.chain.embedded.source import FileSource
from tests.simulators.certificates import make_certificates
from tests.simulators.founded_run import RunWithNodes, copied, found
from tests.simulators.relay_service import relaying

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    return found(tmp_path_factory.mktemp("relay") / "run", rounds=2)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


class World:
    """A run with its nodes in this process and a relay beside it."""

    def __init__(self, folder, certificates) -> None:
        self.folder, self.certificates = folder, certificates
        self.nodes = RunWithNodes(folder)
        self.duties = Duties(folder / "coordinator")
        self.clients: list[RelayClient] = []
        [self.port] = reserve([None])

    def relay(self, **changes):
        return relaying(self.folder, self.certificates, self.port, **changes)

    def client(self, position: int, **changes) -> RelayClient:
        account = list(self.nodes.holders.values())[position].account
        reader = self.nodes.run.reader
        facts = {"chain_id": reader.chain_id, "contract": reader.address, "account": account} | changes
        made = RelayClient(f"https://127.0.0.1:{self.port}", self.certificates.authority, **facts)
        self.clients.append(made)
        return made

    def member(self, position: int) -> bytes:
        return list(self.nodes.holders)[position]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.duties.close()
        self.nodes.close()


@pytest.fixture
def world(founded, certificates, tmp_path):
    made = World(copied(founded, tmp_path / "run"), certificates)
    yield made
    made.close()


def poll(client: RelayClient, wait_s: float = 0.0) -> Duty | None:
    asked = Poll(wait_ms=int(wait_s * 1000), status=b"").encode()
    found = client.call(CallKind.POLL, asked, limit=MAX_DUTY, wait_s=wait_s)
    return None if found is None else Duty.decode(found)


def status_of(act) -> int:
    with pytest.raises(RelayError) as refused:
        act()
    return refused.value.status


def test_a_round_is_carried_by_duties_alone(world):
    session = world.nodes.open_round()
    for account in world.nodes.holders:
        session.accept(world.nodes.contribution(session, account))
    session.commit()
    committee = RelayCommittee(world.duties, patience_s=60.0)
    with world.relay():
        workers = [
            NodeDuties(world.client(i), holder) for i, holder in enumerate(world.nodes.holders.values())
        ]
        for worker in workers:
            worker.start()
        for question in (SHARE_CHECK, REVEAL):
            told = list(
                committee.ask(question.asked, 1, question.requests(session), session.header.threshold)
            )
            assert sorted(t.account for t in told) == sorted(world.nodes.holders)
            for one in told:
                assert one.data is not None, one.why
                question.take(session, one.data)
            if question is SHARE_CHECK:
                session.include()
        assert session.open().count == 4
        prekeys = {}
        committee.learn(prekeys)
        assert set(prekeys) == set(world.nodes.holders)
        for worker in workers:
            worker.close()


def test_a_duty_waits_for_its_member_and_its_first_answer_counts(world):
    with world.relay():
        client, other = world.client(0), world.client(1)
        threading.Timer(0.3, world.duties.add, [1, DutyKind.CHECK, world.member(0), b"question"]).start()
        began = time.monotonic()
        duty = poll(client, 10.0)
        assert duty is not None and duty.request == b"question"
        assert 0.2 < time.monotonic() - began < 5.0
        assert poll(other) is None, "a duty is shown to its member only"
        stranger = Answer(number=duty.number, given=True, data=b"false").encode()
        assert other.call(CallKind.ANSWER, stranger, limit=0) is None
        assert world.duties.answers([duty.number]) == {}, "another member's answer does not count"
        client.call(CallKind.ANSWER, Answer(number=duty.number, given=True, data=b"first").encode(), limit=0)
        client.call(CallKind.ANSWER, Answer(number=duty.number, given=True, data=b"second").encode(), limit=0)
        assert world.duties.answers([duty.number])[duty.number].data == b"first"
        assert poll(client) is None
    with world.relay():  # the relay was restarted
        assert poll(client) is None
        assert world.duties.answers([duty.number])[duty.number].data == b"first"


def test_a_duty_that_is_over_is_handed_out_no_more(world):
    world.duties.add(1, DutyKind.CHECK, world.member(0), b"question")
    with world.relay():
        duty = poll(world.client(0))
        world.duties.end(1, DutyKind.CHECK)
        assert poll(world.client(0)) is None
        late = Answer(number=duty.number, given=True, data=b"late").encode()
        world.client(0).call(CallKind.ANSWER, late, limit=0)
        assert world.duties.answers([duty.number]) == {}


def test_a_call_is_taken_once_and_in_order(world):
    with world.relay():
        client = world.client(0)
        asked = Poll(wait_ms=0, status=b"").encode()
        kept = client._signed(CallKind.POLL, asked)
        assert poll(client) is None
        client._signed = lambda kind, payload: kept
        assert status_of(lambda: poll(client)) == 409
    with world.relay():  # what was taken is on disk
        assert status_of(lambda: poll(client)) == 409


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"chain_id": 5}, id="another chain"),
        pytest.param({"contract": bytes(20)}, id="another contract"),
        pytest.param({"clock": lambda: time.time() - 1000}, id="a clock that is late"),
        pytest.param({"clock": lambda: time.time() + 1000}, id="a clock that is early"),
    ],
)
def test_a_call_for_another_ledger_or_time_is_refused(world, changes):
    with world.relay():
        assert status_of(lambda: poll(world.client(0, **changes))) == 403
        assert poll(world.client(0)) is None


class Liar:
    """Signs with its own key in another member's name."""

    def __init__(self, key, address) -> None:
        self._key, self.address = key, address

    def sign_digest(self, digest):
        return self._key.sign_digest(digest)


def test_only_the_members_own_key_signs_for_it(world):
    mine = next(iter(world.nodes.holders.values())).account
    with world.relay():
        assert status_of(lambda: poll(world.client(0, account=Liar(mine, world.member(1))))) == 403
        assert status_of(lambda: poll(world.client(0, account=Liar(mine, b"\x07" * 20)))) == 403
        outsider = world.nodes.run.account  # the coordinator is a member, but no holder
        assert status_of(lambda: poll(world.client(0, account=outsider))) == 403


def test_any_changed_byte_of_a_call_is_refused(world):
    import httpx

    source = SystemRandomSource()
    with world.relay():
        client = world.client(0)
        good = client._signed(CallKind.POLL, Poll(wait_ms=0, status=b"status").encode()).encode()
        for place in range(0, len(good), max(1, len(good) // 40)):
            bad = bytearray(good)
            bad[place] ^= 1 + source.secret(1).reveal()[0] % 255
            answer = client._client.post(client._url, content=bytes(bad))
            assert answer.status_code in (400, 403), place
        assert client._client.post(client._url, content=bytes(MAX_CALL + 1)).status_code == 413
        assert client._client.post(client._url, content=good).status_code == 204
        assert client._client.get(client._url).status_code == 405
        with pytest.raises(httpx.ConnectError):
            httpx.get(client._url, trust_env=False)


def test_a_member_that_calls_too_often_is_slowed_down(world):
    with world.relay(rate=Rate(per_second=0.01, burst=3.0)):
        client = world.client(0)
        for _ in range(3):
            poll(client)
        assert status_of(lambda: poll(client)) == 429
        assert poll(world.client(1)) is None, "others are not"


def test_archive_blocks_and_checkpoints_come_over_the_relay(world):
    public = world.nodes.run.public
    held = world.nodes.run.archive.put(b"evidence" * 1000)
    with world.relay():
        client = world.client(0)
        assert client.archived(held, 1 << 20) == b"evidence" * 1000
        assert client.archived(hashlib.sha256(b"absent").digest(), 1 << 20) is None
        with pytest.raises(RelayError, match="more than 10 bytes"):
            client.archived(held, 10)
        source = FileSource(public.chain)
        assert list(RelayBlocks(client).blocks(1, 5)) == list(source.blocks(1, 5))
        source.close()
        board = RelayBoard(client)
        for holder in world.nodes.holders.values():
            holder.call(Method.BUNDLE, bytes(32))
        mine = [c for c in board.checkpoints() if world.member(0) in c]
        others = [c for c in board.checkpoints() if world.member(1) in c]
        assert mine and others
        board.publish(mine[0])
        with pytest.raises(OSError, match="403"):
            board.publish(others[0])


def test_a_refusal_carries_no_text_and_the_round_does_not_wait_for_it(world):
    session = world.nodes.open_round()
    committee = RelayCommittee(world.duties, patience_s=30.0)
    with world.relay():
        worker = NodeDuties(world.client(0), next(iter(world.nodes.holders.values())))
        worker.start()
        asked = [(world.member(0), b"no request at all")]
        [told] = committee.ask(SHARE_CHECK.asked, session.header.round, asked, 1)
        assert (told.data, told.why) == (None, "the node refused")
        worker.close()


def test_a_member_that_is_away_is_not_waited_for_once_enough_have_answered(world):
    now = [1000.0]
    committee = RelayCommittee(world.duties, patience_s=60.0, wall=lambda: now[0])
    world.duties.take_stamp(world.member(0), 1, 1000)
    world.duties.take_stamp(world.member(1), 1, 900)
    answers = committee.ask(SHARE_CHECK.asked, 1, [(world.member(0), b"a"), (world.member(1), b"b")], 1)
    threading.Timer(
        0.2, lambda: world.duties.answer(world.member(0), Answer(number=1, given=True, data=b"yes"))
    ).start()
    began = time.monotonic()
    assert [told.data for told in answers] == [b"yes", None]
    assert time.monotonic() - began < 10.0
