"""The node in the CKKS mode: the ceremony, and rounds whose sum and model only holders see.

A run, as one node sees it: DEAL (the first holder) or TAKE (the others) once; then for each round BEGIN (which model, which
task), PROTECT (update to signed upload) and OPEN (encrypted sum to the next model, which stays here; a signed report of
its digest leaves); at the end HAND_OVER, if the policy lets the coordinator have the model.

A node trains from the run's first model, which the accepted terms name, and from models that it made itself, never from one
that somebody sent. The ledger supplies members, keys and consent; rounds of this mode are not on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clients.calls import Order
from clients.ckks_calls import CkksOrder, CkksProtectCall
from clients.errors import NodeStateError, PolicyRefusal
from clients.node.ckks_files import CkksFiles
from clients.node.ckks_holder import Holder
from clients.node.decisions import decide_ckks
from clients.node.view import check_pledge
from fl_core.errors import VerificationError
from fl_core.models import decode_model, encode_model, model_digest, vector_length
from fl_core.models.step import apply_step
from fl_core.protocol.setup import transport_key_digest
from fl_core.protocol.terms import Terms
from fl_core.secagg.ckks.agreement import KeyPackage, Plan
from fl_core.secagg.ckks.ceremony import PARAMETERS, deal, take
from fl_core.secagg.ckks.messages import EncryptedSum, Report, Upload
from fl_core.secagg.ckks.steps import PLACE_SIZE, CkksBeginCall, CkksStep, Place, TakeCall, decode_step
from fl_core.secagg.ckks.vector import Shape, pack, unpack
from ledger import typed_data
from ledger.logbook import Kind
from ledger.reader import LedgerReader

MAX_MODEL = 1 << 32  # bytes
_UNSIGNED = bytes(typed_data.SIGNATURE_SIZE)


def answer_ckks(node: Holder, payload: bytes) -> bytes:
    """Answer one call of the door; see the method of the step's name.

    Raises:
        NodeStateError: The node follows no ledger.
        SutureError: As the step says.
    """
    if node.ckks is None:
        raise NodeStateError("this node knows no ledger.", fix="Add a [ledger] section to node.toml.")
    step, data = decode_step(payload)
    desk = CkksDesk(node, node.ckks, node.settled_reader())
    if step is CkksStep.DEAL:
        plan = Plan.decode(data)
        return node.send(Kind.CKKS, plan.run, 0, desk.deal(plan).encode())
    if step is CkksStep.TAKE:
        call = TakeCall.decode(data)
        plan = Plan.decode(call.plan)
        return node.send(Kind.CKKS, plan.run, 0, desk.take(plan, KeyPackage.decode(call.package)))
    if step is CkksStep.BEGIN:
        return desk.begin(CkksBeginCall.decode(data)).encode()
    if step is CkksStep.PROTECT:
        protect = CkksProtectCall.decode(data)
        return node.send(Kind.CKKS, protect.place.run, protect.place.round, desk.protect(protect))
    place = Place.decode(data[:PLACE_SIZE] if step is CkksStep.OPEN else data)
    answer = desk.open(data) if step is CkksStep.OPEN else desk.hand_over(place)
    return node.send(Kind.CKKS, place.run, place.round, answer)


@dataclass(frozen=True, slots=True)
class Session:
    """A run whose ceremony has taken place, as this node knows it."""

    plan: Plan
    package: KeyPackage
    terms: Terms

    @property
    def name(self) -> bytes:
        """What uploads, sums and reports call run, cohort and key."""
        return self.package.signed

    @property
    def shape(self) -> Shape:
        """The vectors of its rounds."""
        t = self.terms
        return Shape(
            parameters=vector_length(t.tensors),
            counters=len(t.counters),
            weight_cap=t.weight_cap,
            clip=t.initial_clip,
        )


class CkksDesk:
    """Answers the steps.

    Args:
        node: The node.
        files: What it keeps.
        reader: Its ledger.
    """

    def __init__(self, node: Holder, files: CkksFiles, reader: LedgerReader) -> None:
        self._node, self._files, self._reader = node, files, reader
        self._me = node.account.address

    def deal(self, plan: Plan) -> KeyPackage:
        """Make the run's key, once; asked again for the same plan, return the same package.

        Raises:
            VerificationError: A check of the plan failed.
            PolicyRefusal: The policy forbids it, or the run's ceremony has taken place for another plan.
        """
        known = self._once(plan)
        if known is not None:
            return known
        self._check_plan(plan)
        key, package = deal(plan, me=self._me, sign=self._node.account.sign_digest)
        self._files.keep_key(plan.run, plan, package, key)
        return package

    def take(self, plan: Plan, package: KeyPackage) -> bytes:
        """Open and keep the run's key, once; return what names run, cohort and key.

        Raises:
            VerificationError: A check of plan or package failed.
            PolicyRefusal: The policy forbids it, or the run's ceremony has taken place with another key.
        """
        known = self._once(plan)
        if known is not None:
            if known.encode() != package.encode():
                raise PolicyRefusal("the key ceremony of this run has taken place, with another key")
            return known.signed
        self._check_plan(plan)
        signer = self._reader.keys(plan.dealer).signer
        key = take(
            plan,
            package,
            me=self._me,
            transport=self._node.transport,
            verify=lambda signed, signature: typed_data.verify(signed, signature, signer),
        )
        self._files.keep_key(plan.run, plan, package, key)
        return package.signed

    def begin(self, call: CkksBeginCall) -> CkksOrder:
        """Decide whether the holder takes part in a round, and hand out the model to train from.

        Raises:
            VerificationError: The first model is not the terms', or the round's number is out of range.
            PolicyRefusal: The policy forbids it, or this node did not make that model.
        """
        place = call.place
        session = self._session(place.run)
        terms = session.terms
        self._allow(terms, len(session.plan.cohort), place.run, place.round)
        if not 1 <= place.round <= terms.rounds:
            raise VerificationError(f"the run has rounds 1 to {terms.rounds}", party="coordinator")
        if call.model:
            if model_digest(call.model) != bytes.fromhex(terms.initial_model):
                raise VerificationError(
                    "the first model is not the one that the terms name", party="coordinator"
                )
            self._files.keep_model(place.run, call.model)
        model = self._model(place)
        self._files.keep_only(place.run, place.parent)
        order = Order(
            header=session.name.hex(),
            round=place.round,
            task=terms.task,
            settings=terms.task_settings,
            data=str(self._node.data_of(terms.task).path),
            holder=self._node.name,
        )
        return CkksOrder(order=order.encode(), model=model)

    def protect(self, call: CkksProtectCall) -> bytes:
        """Return the signed, encrypted upload for an update; a second call for a round gets the bytes of the first.

        Raises:
            PolicyRefusal: More examples than records, an upload of a round that is over, or no such model.
            LocalProtocolError: The update's length, the number of examples or a counter is out of range.
            InputError: The update holds values that are not finite.
        """
        place = call.place
        session = self._session(place.run)
        stored = self._files.upload(place.run, place.round)
        if stored is not None:
            if not stored:
                raise PolicyRefusal("this node has contributed to that round, which is over")
            return stored
        self._allow(session.terms, len(session.plan.cohort), place.run, place.round)
        self._model(place)
        data = self._node.data_of(session.terms.task)
        if call.examples > data.records:
            raise PolicyRefusal(f"the data set has {data.records} records, not {call.examples}")
        update = np.frombuffer(call.update, dtype="<f4").astype(np.float32)
        vector = pack(session.shape, update, call.examples, call.counters)
        upload = Upload(
            package=session.name,
            round=place.round,
            parent=place.parent,
            member=self._me,
            chunks=self._files.key(place.run).encrypt(vector),
            signature=_UNSIGNED,
        )
        signed = replace(upload, signature=self._node.account.sign_digest(upload.signed)).encode()
        self._files.keep_upload(place.run, place.round, signed)
        return signed

    def open(self, data: bytes) -> bytes:
        """Open a round's sum, make and keep the next model, and return a signed report of its digest.

        Raises:
            DecodeError: The request or a ciphertext is malformed.
            PolicyRefusal: The node opened another sum of this round, or the sum has too few uploads for the policy.
            VerificationError: The sum is of another key, or none that honest uploads give.
        """
        place, total = Place.decode(data[:PLACE_SIZE]), EncryptedSum.decode(data[PLACE_SIZE:])
        session = self._session(place.run)
        if (total.package, total.round, total.parent) != (session.name, place.round, place.parent):
            raise VerificationError("the sum is of another run, round or model", party="coordinator")
        coordinator = self._reader.run(place.run).coordinator
        typed_data.verify(total.signed, total.signature, self._reader.keys(coordinator).signer)
        model, name = self._model(place), total.signed
        before = self._files.opened(place.run, place.round)
        if before is not None and before != name:
            raise PolicyRefusal("this node has opened another sum of this round")
        stored = self._files.report(place.run, place.round)
        if stored is not None:
            return stored
        self._files.keep_opened(place.run, place.round, name)
        report = self._step(session, place, total, model)
        self._files.keep_report(place.run, place.round, report)
        return report

    def _step(self, session: Session, place: Place, total: EncryptedSum, model: bytes) -> bytes:
        """Make the next model of an encrypted sum; the same bytes at every holder."""
        shape, holders = session.shape, len(session.plan.cohort)
        summed = self._files.key(place.run).decrypt(total.chunks, shape.length)
        opened = unpack(PARAMETERS, shape, holders, summed)
        if opened.count < session.terms.n_min:
            raise VerificationError(f"a sum of {opened.count} uploads is too small", party="coordinator")
        self._allow(session.terms, opened.count, place.run, place.round)
        tensors = apply_step(session.terms.strategy, decode_model(model, MAX_MODEL), opened.update)
        report = Report(
            package=session.name,
            round=place.round,
            total=total.signed,
            model=self._files.keep_model(place.run, encode_model(tensors)),
            count=opened.count,
            counters=opened.counters,
            member=self._me,
            signature=_UNSIGNED,
        )
        return replace(report, signature=self._node.account.sign_digest(report.signed)).encode()

    def hand_over(self, place: Place) -> bytes:
        """Return a model to the coordinator, if the policy lets it have one.

        Raises:
            PolicyRefusal: It does not, or this node has no such model.
        """
        if not self._node.policy.release_ckks_model:
            raise PolicyRefusal("the policy keeps the model of a CKKS run with the holders")
        self._session(place.run)
        return self._model(place)

    # ------------------------------------------------------------------ what every step checks

    def _session(self, run: bytes) -> Session:
        known = self._files.known(run)
        if known is None:
            raise PolicyRefusal("this node has no key of that run: its ceremony has not taken place here")
        return Session(*known, terms=self._terms(run))

    def _terms(self, run: bytes) -> Terms:
        terms = self._node.accepted(self._reader.run(run).terms)
        if terms.parameter_set != PARAMETERS.name:
            raise PolicyRefusal("the terms that the holder accepted are of a run with another protection")
        if self._reader.consent(run, self._me) != terms.digest:
            raise PolicyRefusal("the holder does not consent to this run any more")
        return terms

    def _allow(self, terms: Terms, holders: int, run: bytes, number: int) -> None:
        done = self._files.rounds_done(run, before=number)
        usage = self._node.usage_of(run, number, self._node.data_of(terms.task).commitment, done)
        check_pledge(self._reader, run, self._me, self._node.data_of(terms.task).commitment)
        decision = decide_ckks(self._node.policy, terms=terms, holders=holders, usage=usage)
        if not decision.allowed:
            raise PolicyRefusal(decision.reason)

    def _model(self, place: Place) -> bytes:
        model = self._files.model(place.run, place.parent)
        if model is None:
            raise PolicyRefusal("this node did not make the model that the round trains from")
        return model

    def _once(self, plan: Plan) -> KeyPackage | None:
        """Return the package of an earlier ceremony for the same plan; there is none for another plan of the run."""
        known = self._files.known(plan.run)
        if known is None:
            return None
        if known[0] != plan:
            raise PolicyRefusal("the key ceremony of this run has taken place")
        return known[1]

    def _check_plan(self, plan: Plan) -> None:
        """Check a plan against ledger, terms and policy.

        Raises:
            VerificationError: (1) it is for another chain or contract, (2) this holder is not in it, (3) a member of it does
                not consent, or its transport key is not the registered one, (4) it has fewer holders than a sum needs.
            PolicyRefusal: (5) terms or policy forbid it.
        """
        # (1)
        if (plan.chain_id, plan.contract) != (self._reader.chain_id, self._reader.address):
            raise VerificationError("the plan is for another ledger", party="coordinator")
        # (2)
        if self._me not in plan.cohort:
            raise VerificationError("this holder is not in the plan", party="coordinator")
        # (5)
        terms = self._terms(plan.run)
        self._allow(terms, len(plan.cohort), plan.run, 0)
        # (3)
        for account, transport in zip(plan.cohort, plan.transport_keys, strict=True):
            member, keys = self._reader.member(account), self._reader.keys(account)
            if not member.since or self._reader.consent(plan.run, account) != terms.digest:
                raise VerificationError("a holder in the plan did not consent", party="coordinator")
            if transport_key_digest(transport) != keys.encryption:
                raise VerificationError("a transport key is not the registered one", party="coordinator")
        # (4)
        if len(plan.cohort) < terms.n_min:
            raise VerificationError(f"{len(plan.cohort)} holders are too few for a sum", party="coordinator")
