"""Attacks on how the protocol is operated: models, receipts, keys, backups, randomness, documents."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import hpke

from clients.door import Method
from clients.errors import NodeStateError, PolicyRefusal
from clients.node.logbook import read_logbook
from clients.node.register import Register
from clients.node.register_view import expect_not_restored
from coordinator.rounds.machine import RoundMachine
from fl_core.digests import Label
from fl_core.errors import VerificationError
from fl_core.protocol.check_messages import CheckRequest
from fl_core.protocol.messages import RevealRequest
from fl_core.protocol.setup import box_context
from fl_core.randomness import Stream
from fl_core.secagg import boxes
from fl_core.secagg.boxes import SEED_BYTES, TransportPrivateKey
from fl_core.secret import Secret
from ledger.logbook import Kind
from ledger.records import RoundState
from tests.simulators.consortium import MODEL, Consortium, seed
from tests.simulators.dry_round import DryRound
from tests.simulators.insecure_random import StuckRandomSource

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def consortium(tmp_path):
    consortium = Consortium(tmp_path / "nodes")
    yield consortium
    consortium.close()


def test_different_models_to_different_clients(consortium):
    """One client is sent a model made for it: it is not the ledger's, whichever header comes with it."""
    header = consortium.open_round()
    crafted = MODEL[:-4] + b"\x00\x00\x80\x3f"
    with pytest.raises(VerificationError, match=r"header check \(3\)"):
        consortium.begin(0, header, model=crafted)
    private = replace(header, artifact=hashlib.sha256(crafted).digest())
    with pytest.raises(VerificationError, match=r"header check \(2\)"):
        consortium.begin(0, private, model=crafted)
    assert consortium.begin(1, header).round == 1


def test_different_headers_to_different_clients(consortium):
    """A header made for one client (a committee key of the coordinator's, say) is not the one on the ledger."""
    header = consortium.open_round()
    own = replace(header.committee[1], transport_key=b"\x66" * 32)
    with pytest.raises(VerificationError, match=r"header check \(2\)"):
        consortium.begin(0, replace(header, committee=(header.committee[0], own, *header.committee[2:])))


def test_coordinator_silently_drops_a_victim(consortium, caplog):
    """Who is in V demands the coordinator's receipt; a victim that was left out of V sees it, and its logbook says what it sent.

    A contribution that came too late looks the same, so its node says so and answers all the same.
    """
    header = consortium.open_round()
    for position in range(4):
        consortium.begin(position, header)
    frames = [consortium.protect(position, header) for position in range(4)]
    machine: RoundMachine = consortium.machine(header)
    for data in frames[1:]:
        consortium.deliver(machine, data)
    consortium.commit(machine)
    included = RevealRequest.decode(consortium.request(machine, 1))
    with pytest.raises(VerificationError):  # who is in V gets no answer out of its node without a receipt
        consortium.reveal(1, replace(included, receipt=b"").encode())
    victim = consortium.request(machine, 0)
    assert RevealRequest.decode(victim).receipt == b""
    assert consortium.reveal(0, victim)
    assert "the coordinator did not accept this node's contribution" in caplog.text
    holder = consortium.holders[0]
    sent = [
        entry for entry, _ in read_logbook(holder.folder, holder.account) if entry.kind == Kind.FRAME.value
    ]
    assert [entry.digest for entry in sent] == [hashlib.sha256(frames[0]).hexdigest()]


def test_harvest_now_decrypt_later():
    """A box needs both keys: with only the X25519 or only the ML-KEM half of the key pair it stays closed."""
    one, other = (TransportPrivateKey.from_seed(seed(name)) for name in ("one", "other"))
    box = boxes.seal(one.public, b"info", b"a share")
    assert one.open(b"info", box).reveal() == b"a share"
    half = 1184
    for mixed in (one.public[:half] + other.public[half:], other.public[:half] + one.public[half:]):
        with pytest.raises(VerificationError):
            one.open(b"info", boxes.seal(mixed, b"info", b"a share"))
    assert hasattr(hpke.KEM, "MLKEM768_X25519")
    assert "KEM.MLKEM768_X25519" in (ROOT / "fl_core/secagg/boxes.py").read_text()


def opened_boxes(consortium, header, machine, position):
    """How many boxes for a holder's seat everything that is in its folder opens, whoever has the machine."""
    holder = consortium.holders[position]
    keys = [holder.transport]
    for path in holder.folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        keys += [TransportPrivateKey.from_seed(Secret(data))] if len(data) == SEED_BYTES else []
    seat, opened = header.committee[header.point_of(holder.account) - 1], 0
    for sealed in CheckRequest.decode(consortium.check_request(machine, position)).accepted:
        context = box_context(header, sealed.leaf.statement.member, seat)
        for key in keys:
            try:
                key.open(context, sealed.box)
            except VerificationError:
                continue
            opened += 1
    return opened


def test_a_machine_seized_later_opens_no_old_box(consortium):
    """Seats name prekeys. Once the node has begun the next round, no key it has opens the archived boxes of this one."""
    header = consortium.open_round(1)
    machine = consortium.contributed(header)
    consortium.commit_accepted(machine)
    assert opened_boxes(consortium, header, machine, 0) == 4
    request = consortium.check_request(machine, 0)
    consortium.facts.end(consortium.run, 1)
    second = consortium.open_round(2)
    keys = zip(header.committee, second.committee, strict=True)
    assert not [one.address for one, other in keys if one.transport_key == other.transport_key]
    consortium.begin(0, second)
    assert opened_boxes(consortium, header, machine, 0) == 0
    assert opened_boxes(consortium, header, machine, 1) == 4  # this one has not begun the second round
    consortium.facts.end(
        consortium.run, 1, RoundState.COMMITTED
    )  # the ledger itself says that the round goes on
    for _ in range(2):
        with pytest.raises(PolicyRefusal, match="no such prekey, or has erased it"):
            consortium.check(0, request)
        consortium.restart(0)


def test_restored_backup_of_a_node(consortium, tmp_path):
    """A register that was rolled back has forgotten its answer. The logbook has not, so the node does not start.

    Where both were rolled back, the member's own checkpoint on the board tells
    (`test_a_folder_that_was_restored_from_a_backup_signs_nothing`); and what such a node could be asked is
    only what the ledger says, whose set is written once.
    """
    machine = consortium.included()
    holder, backup = consortium.holders[0], tmp_path / "backup"
    holder.node.close()
    shutil.copytree(holder.folder, backup)
    holder.node = consortium.start(holder)
    request = RevealRequest.decode(consortium.request(machine, 0))
    consortium.reveal(0, request.encode())
    smaller = replace(request, included=request.included[1:])
    pairs = request.accepted[1:]
    with pytest.raises(VerificationError, match=r"reveal check \(4\)|the reveal for another set"):
        fresh = consortium.start(
            holder, register=Register(backup)
        )  # the backup alone changes nothing while the
        fresh.call(Method.REVEAL, smaller.encode())  # ledger holds the set that it wrote once
    fresh.close()
    key = (consortium.run, 1)
    forked = replace(
        consortium.facts.rounds[key], included=consortium.notary.root(pairs), included_count=len(pairs)
    )
    consortium.facts.rounds[key] = forked
    with pytest.raises(PolicyRefusal, match="the reveal for another set"):
        consortium.reveal(0, smaller.encode())  # the register that remembers refuses even then
    holder.node.close()
    shutil.copy(backup / "register.sqlite", holder.folder / "register.sqlite")
    with pytest.raises(NodeStateError, match=r"restored from a backup.*the reveal of round 1 is not in"):
        expect_not_restored(holder.folder, holder.account)  # what comes before a node opens its door
    restored = consortium.start(
        holder
    )  # one whose software leaves that out, on a ledger that was forked, succeeds
    assert restored.call(Method.REVEAL, smaller.encode())
    holder.node = restored


def test_randomness_misuse():
    """Streams of one seed are independent by label; and where a generator is stuck, two clients' secrets would be equal."""
    labels = (Label.SECRET, Label.ERRORS, Label.SHARING, Label.ROUNDING)
    streams = []
    for label in labels:
        out = np.empty(4096, np.uint8)
        Stream(bytes(32), label).fill(out)
        streams.append(out)
    for number, one in enumerate(streams):
        for other in streams[number + 1 :]:
            assert np.mean(one == other) < 0.02  # one in 256 by chance
    dry, stuck = DryRound(4), StuckRandomSource()
    one, other = (
        dry.prepare(position, random=stuck, update=dry.update(0), counters=(0,)).frame for position in (0, 1)
    )
    assert (
        one.ciphertext == other.ciphertext
    )  # that is why the operating system's generator is the only source
    numpys = re.compile(r"np\.random|numpy\.random|default_rng")
    packages = ("fl_core", "clients/node", "coordinator/rounds", "ledger")
    assert not [p for room in packages for p in (ROOT / room).rglob("*.py") if numpys.search(p.read_text())]


def test_key_rotation_during_a_round_does_not_void_it(consortium):
    """A client contributes and then changes its keys on the ledger: its leaf still counts under the key of the round."""
    machine = consortium.included()
    consortium.facts.set_keys(consortium.holders[3].account, b"\x01" * 20, b"\x02" * 32)
    for position in range(3):
        machine.add_reveal(consortium.reveal(position, consortium.request(machine, position)))
    assert machine.open().aggregate.count == 4


HOSTILE = {
    "terms": "from fl_core.protocol.terms import Terms; Terms.decode(D)",
    "order": "from clients.calls import Order; Order.decode(D[:60_000])",
    "paper": "from ledger.papers import RunPaper; RunPaper.decode(D)",
    "rewards": "from ledger.documents import decode_rewards; decode_rewards(D)",
    "model": "from fl_core.models import decode_model; H = b'{\"a\":' + D[:900_003]; "
    "decode_model(len(H).to_bytes(8, 'little') + H, 1 << 30)",
    "enrolment": "from coordinator.enrolment import _read_status; "
    "_read_status(D); raise DecodeError('no account')",
}


@pytest.mark.parametrize("reader", HOSTILE)
def test_deep_nesting_does_not_end_a_process(reader):
    """A megabyte of brackets, where a library has raised the recursion limit (the ledger's elliptic curves do: 100,000)."""
    program = (
        "import sys; sys.setrecursionlimit(100_000)\n"
        "from fl_core.errors import DecodeError\n"
        f"D = b'[' * 1_000_000\ntry:\n    {HOSTILE[reader]}\nexcept DecodeError:\n    print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr[-300:]
