"""The node: what a data holder's trusted process does for its glue.

One round, as this class sees it: :meth:`Node.begin` checks the header against the ledger, the accepted terms and the
policy and hands out an order; :meth:`Node.protect` turns the glue's update into a stored, sealed frame;
:mod:`clients.node.seat` answers the coordinator's questions to a committee member, once each;
:meth:`Node.weight` opens the holder's weight where the terms that it accepted pay by examples. The glue gets digests, orders and sealed bytes; keys and single shares never leave this object, salts only that of such a weight.

Every call is answered under one lock: a node does one thing at a time, so that no two calls race for a once-only step.
A decision that waits for the ledger holds it, for minutes; calls that must not wait are the server's (:mod:`clients.node.server`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clients.calls import BeginCall, Order, ProtectCall, QuestionCall
from clients.door import ACCEPTED, NOT_ACCEPTED, Method
from clients.errors import NodeStateError, PolicyRefusal
from clients.node.bundles import AcceptedBundles
from clients.node.ckks import answer_ckks
from clients.node.ckks_files import CkksFiles
from clients.node.contribution import NewContribution
from clients.node.decisions import decide, decide_plaintext
from clients.node.logbook import Logbook
from clients.node.policy import DAY_S, Policy, Usage
from clients.node.prekeys import Prekeys
from clients.node.register import Register
from clients.node.seat import QUESTIONS, notary_of
from clients.node.times import Times
from clients.node.view import check_pledge, ledger_view, signer_at, signers_of
from clients.node.weight import answer_weight
from fl_core.digests import DIGEST_SIZE
from fl_core.errors import DecodeError
from fl_core.protocol.header import MAX_NAME, RoundHeader
from fl_core.protocol.header_check import check_header
from fl_core.protocol.prekeys import SignedPrekey, check_seats, sign_prekey
from fl_core.protocol.terms import Terms
from fl_core.randomness import RandomSource
from fl_core.secagg.boxes import TransportPrivateKey
from ledger.logbook import Kind
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.reader import LedgerReader
from ledger.records import EMPTY_ADDRESS
from ledger.signer import Signer

GRACE_S = 5.0
"""Seconds that a call has to end when its node is closed."""

log = logging.getLogger("suture.node")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """The data set that a node lets its glue train on."""

    path: Path
    commitment: bytes
    records: int


@dataclass(frozen=True, kw_only=True)
class Node:
    """A holder's trusted process.

    Attributes:
        name: The holder's name in the run.
        account: Signs for the holder; its address is the member's account.
        transport: Opens what is sealed to the registered key: the key of a run in the CKKS mode.
        prekeys: Open the boxes with shares that are sealed to this member.
        reader: Reads the ledger; None on a node that only takes part in runs without protection.
        register: Once-only register.
        logbook: Says what left the house, before it leaves.
        policy: The holder's rules.
        terms: Terms documents that the holder accepted, by digest.
        data: The data sets that the policy names.
        clock: Returns the Unix time in seconds.
        random: Fresh randomness.
        settle_ledger: Comes before every decision: makes what is new on the ledger readable, or raises.
        signers: Keys that sign in rounds, by address, the newest last: the account's own, and those of rotations.
        close_ledger: Lets go of the ledger.
        stop_ledger: Has a call that waits for the ledger fail soon.
        ckks: What the node keeps of runs in the CKKS mode; None where it keeps nothing and takes no part.
        times: How long training and sealing took here.
        behind_s: For how many seconds a record is waited for that the ledger's source may not have yet.
    """

    name: str
    account: Signer
    transport: TransportPrivateKey
    prekeys: Prekeys
    reader: LedgerReader | None
    register: Register
    logbook: Logbook
    policy: Policy
    terms: Mapping[bytes, Terms]
    data: Mapping[str, DataSet]
    clock: Callable[[], int]
    random: RandomSource
    settle_ledger: Callable[[], None] = lambda: None
    signers: Mapping[bytes, Signer] = field(default_factory=dict)
    close_ledger: Callable[[], None] = lambda: None
    stop_ledger: Callable[[], None] = lambda: None
    ckks: CkksFiles | None = None
    behind_s: float = 0.0
    times: Times = field(default_factory=Times)
    _bundles: list[AcceptedBundles] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def call(self, method: Method, payload: bytes) -> bytes:
        """Answer one call of the door that is the node's to answer; see the method of the same name."""
        with self._lock:
            if method is Method.STATUS:
                return self.status()
            if method is Method.BEGIN:
                return self.begin(BeginCall.decode(payload)).encode()
            if method is Method.PROTECT:
                return self.protect(ProtectCall.decode(payload))
            if method in QUESTIONS:
                return QUESTIONS[method](self, QuestionCall.decode(payload).request)
            if method is Method.WEIGHT:
                return self.weight(QuestionCall.decode(payload))
            if method is Method.CKKS:
                return answer_ckks(self, payload)
            if method is Method.TIMES:
                return self.times.encode(payload)
            if method is Method.BUNDLE:
                return self.bundle(payload)
            return self.plain(payload).encode()

    def close(self) -> None:
        """Close the register and the ledger.

        A call that waits for a ledger which does not answer is not waited for: its process ends in the middle of it, as by a
        power failure, which every file survives.
        """
        self.stop_ledger()
        if not self._lock.acquire(timeout=GRACE_S):
            log.warning("a call has not ended; it is left behind")
            return
        try:
            self.close_ledger()  # ends the follower, which notes what it signs
            self.register.close()
            self.logbook.close()
        finally:
            self._lock.release()

    def status(self) -> bytes:
        """Return who this node is, its transport key and the prekey for its next shares, as JSON. Public facts only."""
        account, transport = self.account.address.hex(), self.transport.public.hex()
        values = {"name": self.name, "account": account, "transport": transport}
        if self.reader is not None:
            prekey = self._prekey(self.reader).encode()
            if not self.logbook.has(Kind.PREKEY, hashlib.sha256(prekey).digest()):
                self.logbook.append(Kind.PREKEY, prekey, to="members")
            values["prekey"] = prekey.hex()
        return json.dumps(values).encode()

    def _prekey(self, reader: LedgerReader) -> SignedPrekey:
        epoch, pair = self.prekeys.newest()
        notary = LedgerNotary(reader.chain_id, reader.address)
        signer = [self.account, *self.signers.values()][-1]  # of a rotation that is over, so it is registered
        return sign_prekey(self.account.address, epoch, pair.public, LedgerSigner(notary, signer))

    def bundle(self, digest: bytes) -> bytes:
        """Tell the gateway whether the holder accepts the app bundle with this SHA-256 now, on the ledger.

        Raises:
            DecodeError: It is no digest.
            LedgerError: The ledger cannot be read.
        """
        if len(digest) != DIGEST_SIZE:
            raise DecodeError(f"a bundle is named by {DIGEST_SIZE} bytes, {len(digest)} came")
        reader = self.settled_reader()
        if not self._bundles:
            self._bundles.append(AcceptedBundles(reader, self.account.address, self.terms))
        return ACCEPTED if self._bundles[0].accepts(digest) else NOT_ACCEPTED

    def begin(self, call: BeginCall) -> Order:
        """Decide whether the holder takes part in a round.

        Raises:
            DecodeError: The header is malformed.
            VerificationError: A check of the header failed.
            PolicyRefusal: The holder's policy forbids it, the terms were never accepted here, or with another data set.
        """
        header = RoundHeader.decode(call.header)
        reader = self.settled_reader()
        view = ledger_view(reader, header, self.behind_s)
        terms = self.accepted(view.terms)
        model = hashlib.sha256(call.model).digest()
        check_header(header, view=view, terms=terms, model=model, me=self.account.address, now=self.clock())
        decision = decide(
            self.policy,
            header=header,
            terms=terms,
            usage=self._usage(header, terms),
        )
        if not decision.allowed:
            raise PolicyRefusal(decision.reason)
        check_pledge(reader, header.run, self.account.address, self.data_of(terms.task).commitment)
        epoch = self._own_epoch(header)
        self.register.accept_header(header.digest, header.run, header.round, call.header)
        if epoch is not None:
            self.prekeys.begin(epoch)
        self.register.drop_frames(header.run, header.round)
        self.times.begun(header.digest)
        return self._order(terms, header)

    def protect(self, call: ProtectCall) -> bytes:
        """Return the sealed frame for an update; a second call for the same round gets the bytes of the first.

        Raises:
            PolicyRefusal: The round was not begun.
            VerificationError: A prekey is not the one of its seat.
            LocalProtocolError: The update's length, the number of examples or a counter is out of range.
            InputError: The update holds values that are not finite.
        """
        came = self.times.clock()
        header = RoundHeader.decode(self.register.header(call.header))
        stored = self.register.frame(header.digest)
        if stored is not None:
            return self._send_frame(header, stored)
        terms = self.accepted(self.settled_reader().origin(header.run).terms)
        data = self.data_of(terms.task)
        if call.examples > data.records:
            raise PolicyRefusal(f"the data set has {data.records} records, not {call.examples}")
        prekeys = tuple(SignedPrekey.decode(prekey) for prekey in call.prekeys)
        signers = signers_of(self.settled_reader(), header)
        check_seats(header, prekeys, signers=signers, notary=notary_of(header))
        update = np.frombuffer(call.update, dtype="<f4").astype(np.float32, copy=False)
        contribution = NewContribution(
            header=header,
            me=self.account.address,
            update=update,
            call=call,
            keys=tuple(prekey.public for prekey in prekeys),
            data_set=data.commitment,
            signer=self.signer_of(header),
            random=self.random,
            logged=self.logbook.state(),
            at=self.clock(),
            opens_weight=terms.opens_weights,
        )
        stored = self.register.store_written(header.digest, contribution.write)
        self.times.sealed(header.digest, self.register.sent(header.digest).digest, came)
        return self._send_frame(header, stored)

    def weight(self, call: QuestionCall) -> bytes:
        """Open the weight of this holder's contribution, see :func:`clients.node.weight.answer_weight`."""
        header, stored = answer_weight(
            call.request,
            me=self.account.address,
            register=self.register,
            reader=self.settled_reader(),
            policy=self.policy,
            accepted=self.accepted,
        )
        return self.send(Kind.WEIGHT, header.run, header.round, stored)

    def plain(self, task: bytes) -> Order:
        """Hand out an order for a run without protection, if the policy allows such runs at all.

        Raises:
            PolicyRefusal: It does not.
            DecodeError: The name is too long.
        """
        if len(task) > MAX_NAME:
            raise DecodeError(f"a task's name has at most {MAX_NAME} bytes, {len(task)} came")
        name = task.decode(errors="replace")
        decision = decide_plaintext(self.policy, name, self.clock())
        if not decision.allowed:
            raise PolicyRefusal(decision.reason)
        self.logbook.append(Kind.PLAIN, task, to="glue")
        data = self.data_of(name)
        return Order(header="", round=0, task=name, settings={}, data=str(data.path), holder=self.name)

    def _own_epoch(self, header: RoundHeader) -> int | None:
        """Return the epoch of the prekey that this node's seat names, or None when it has no seat.

        Raises:
            PolicyRefusal: The seat names a prekey that this node does not have any more.
        """
        mine = (seat for seat in header.committee if seat.address == self.account.address)
        return next((self.prekeys.named(seat.transport_key)[0] for seat in mine), None)

    def transport_of(self, header: RoundHeader) -> TransportPrivateKey:
        """Return what opens the boxes of this node's seat."""
        seat = header.committee[header.point_of(self.account.address) - 1]
        return self.prekeys.named(seat.transport_key)[1]

    def _order(self, terms: Terms, header: RoundHeader) -> Order:
        return Order(
            header=header.digest.hex(),
            round=header.round,
            task=terms.task,
            settings=terms.task_settings,
            data=str(self.data_of(terms.task).path),
            holder=self.name,
        )

    def data_of(self, task: str) -> DataSet:
        """Return the data set that a task uses.

        Raises:
            PolicyRefusal: There is none such here any more.
        """
        name = self.policy.data_set(task)
        if name not in self.data:
            raise PolicyRefusal(f"the data set {name!r} of the task {task!r} is not here, or was erased")
        return self.data[name]

    def usage_of(self, run: bytes, number: int, data_set: bytes, rounds_done: int) -> Usage:
        """Return what the limits of the policy count, but for this round."""
        now, here = self.clock(), (run, number)
        ckks = self.ckks
        return Usage(
            rounds_done=rounds_done,
            today=self.register.uses(data_set, since=now - DAY_S, outside=here)
            + (0 if ckks is None else ckks.uploads(since=now - DAY_S, outside=here)),
            ever=self.register.uses(data_set, outside=here)
            + (0 if ckks is None else ckks.uploads(outside=here)),
            now=now,
        )

    def _usage(self, header: RoundHeader, terms: Terms) -> Usage:
        done = self.register.rounds_done(header.run, before=header.round)
        return self.usage_of(header.run, header.round, self.data_of(terms.task).commitment, done)

    def send(self, kind: Kind, run: bytes, number: int, data: bytes) -> bytes:
        """Note in the logbook that ``data`` goes to the run's coordinator, and return it."""
        self.logbook.append(kind, data, to=self._coordinator(run), run=run, number=number)
        return data

    def _send_frame(self, header: RoundHeader, frame: bytes) -> bytes:
        sent = self.register.sent(header.digest)
        self.logbook.append(
            Kind.FRAME,
            frame,
            to=self._coordinator(header.run),
            run=header.run,
            number=header.round,
            digest=sent.digest,
            anchor=sent.entries,
            hidden=sent.hidden,
        )
        return frame

    def _coordinator(self, run: bytes) -> str:
        assert self.reader is not None, "a node without a ledger sends nothing of a run"
        return self.reader.origin(run).coordinator.hex()

    def accepted(self, digest: bytes) -> Terms:
        """Return accepted terms by digest.

        Raises:
            PolicyRefusal: The holder has not accepted them.
        """
        if digest not in self.terms:
            raise PolicyRefusal("the holder has not accepted the terms of this run")
        return self.terms[digest]

    def settled_reader(self) -> LedgerReader:
        """Return the reader of what the ledger says now, for one decision.

        Raises:
            NodeStateError: This node knows no ledger.
            LedgerError: What is new on the ledger cannot be relied on.
        """
        if self.reader is None:
            raise NodeStateError("this node knows no ledger.", fix="Add a [ledger] section to node.toml.")
        self.settle_ledger()
        return self.reader

    def signer_of(self, header: RoundHeader) -> LedgerSigner:
        """Return what signs in a round: the key that was registered before its beacon."""
        address = signer_at(self.settled_reader(), self.account.address, header.beacon_number)
        return LedgerSigner(notary_of(header), self._key(address))

    def _key(self, address: bytes) -> Signer:
        """Return the key that the ledger names; before the first registration the account's own.

        Raises:
            NodeStateError: This folder does not have it.
        """
        if address in (EMPTY_ADDRESS, self.account.address):
            return self.account
        if address not in self.signers:
            raise NodeStateError(
                f"the ledger names the signing key 0x{address.hex()}, which this node has not opened.",
                fix="After `suture-node keys rotate` restart the node; finish an interrupted rotation by running it again.",
            )
        return self.signers[address]
