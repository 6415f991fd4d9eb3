"""A run in the CKKS mode: the holders share one key, the coordinator adds what it cannot open and never sees a model.

One round: every holder trains and sends an encrypted, signed upload; uploads are added one at a time, in memory that does not
grow with their number; the encrypted sum goes to all holders, each opens it, makes the next model and reports its digest;
the round counts when floor(2m/3) + 1 of the cohort's m holders report the same. Messages carry digests where other modes carry
arrays. So no Flower strategy can run here: the server's step is the terms', done at the holders.

What of the ledger: members, registered keys and consent come from it. Rounds are **not** on it, nothing is archived, nobody is
paid, and nobody can audit an aggregate: the sum cannot be recomputed without the holders' key. A run is not resumed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from flwr.serverapp import Grid

from coordinator.ckks_asking import Asking
from coordinator.context import RunContext
from coordinator.engines.exchange import connected
from coordinator.enrolment import enrol
from coordinator.errors import CoordinatorError, RoundFailed
from coordinator.flower_messages import reported_times, sealed_bytes
from coordinator.offered import is_genuine
from coordinator.strategy import Patience
from coordinator.timing import Stopwatch
from fl_core.errors import RemoteProtocolError, VerificationError
from fl_core.models import model_digest, vector_length
from fl_core.protocol import envelope
from fl_core.protocol.rules import threshold_of
from fl_core.protocol.setup import transport_key_digest
from fl_core.secagg.ckks.agreement import KeyPackage, Plan
from fl_core.secagg.ckks.ceremony import check_package
from fl_core.secagg.ckks.keys import PublicContext
from fl_core.secagg.ckks.messages import EncryptedSum, Report, Upload
from fl_core.secagg.ckks.running import RunningSum
from fl_core.secagg.ckks.steps import CkksBeginCall, CkksStep, Place, TakeCall
from fl_core.secagg.ckks.vector import Shape
from ledger import typed_data
from ledger.files import write_atomically

MAX_MODEL_BYTES = 1 << 32


def run_ckks(grid: Grid, folder: Path, run: RunContext, *, rounds: int, patience: Patience) -> None:
    """Run the ceremony and the rounds; write ``model.safetensors`` if a holder hands the last model over.

    Raises:
        CoordinatorError: Too few holders have the run's key.
    """
    nodes, _ = enrol(
        grid,
        connected(grid),
        members=run.transport_keys,
        deadline_s=patience.reveal,
        genuine=lambda prekey: is_genuine(prekey, run.reader),
    )
    holders = {account: node for node, account in nodes.items()}
    run.events.emit("enrolled", holders=[run.names.get(account, account.hex()) for account in holders])
    federation = hold_ceremony(Asking(grid, run, holders, patience))
    model, finalised = bytes.fromhex(run.terms.initial_model), 0
    for number in range(1, rounds + 1):
        try:
            model = federation.round(number, model)
            finalised += 1
        except RoundFailed as error:
            run.events.emit("round-failed", round=number, reason=str(error))
    if finalised:
        federation.fetch(folder / "model.safetensors", rounds, model)
    run.events.emit("run-finished", finalised=finalised)


def hold_ceremony(asking: Asking) -> Federation:
    """Have the first holder make the key, relay its sealed package, and find out who took it.

    A dealer that makes no usable package is left out, and it is the next one's turn; nobody has taken a key by then.

    Raises:
        CoordinatorError: No key was made, or fewer than a threshold of the cohort took it.
    """
    run = asking.run
    cohort = tuple(account for account in sorted(asking.holders) if _able(run, account))
    for account in set(asking.holders) - set(cohort):
        run.events.emit("holder-left-out", holder=asking.name(account))
    while True:
        plan = _plan(run, cohort)
        try:
            package, context = _dealt(asking, plan)
            break
        except RemoteProtocolError as error:
            asking.lost("dealer-lost", 0, plan.dealer, str(error))
            cohort = cohort[1:]
    call = TakeCall(plan=plan.encode(), package=package.encode()).encode()
    took = [
        account for account, answer in asking.query(cohort, CkksStep.TAKE, call) if answer == package.signed
    ]
    needed = max(threshold_of(len(cohort)), run.terms.n_min)
    if len(took) < needed:
        raise CoordinatorError(
            f"{len(took)} holders have the run's key, {needed} are needed.",
            fix="Their policies must have allow_ckks; the nodes' logs say why they refused.",
        )
    run.events.emit("key-shared", dealer=asking.name(plan.dealer), holders=[asking.name(a) for a in took])
    return Federation(asking, plan, package.signed, context, tuple(sorted(took)))


def _plan(run: RunContext, cohort: tuple[bytes, ...]) -> Plan:
    """Return the plan for a cohort.

    Raises:
        CoordinatorError: The cohort is too small or too large.
    """
    try:
        return Plan(
            chain_id=run.reader.chain_id,
            contract=run.reader.address,
            run=run.run,
            epoch=1,
            cohort=cohort,
            transport_keys=tuple(run.transport_keys[account] for account in cohort),
        )
    except ValueError as error:
        raise CoordinatorError(
            f"the key ceremony has no cohort: {error}, and {len(cohort)} are willing.",
            fix="Their policies must have allow_ckks; the nodes' logs say why they refused.",
        ) from error


def _dealt(asking: Asking, plan: Plan) -> tuple[KeyPackage, PublicContext]:
    """Ask the dealer for the package and check it.

    Raises:
        RemoteProtocolError: There is none, or a check failed.
    """
    answers = [answer for _, answer in asking.query([plan.dealer], CkksStep.DEAL, plan.encode())]
    if not answers:
        raise VerificationError("the dealer made no key", party=plan.dealer.hex())
    package, signer = KeyPackage.decode(answers[0]), asking.run.reader.keys(plan.dealer).signer
    return package, check_package(plan, package, verify=lambda d, s: typed_data.verify(d, s, signer))


def _able(run: RunContext, account: bytes) -> bool:
    """Return whether a holder is a member, consents and registered the transport key that is handed out."""
    keys, known = run.reader.keys(account), run.transport_keys[account]
    consents = run.reader.consent(run.run, account) == run.terms.digest
    return (
        bool(run.reader.member(account).since) and consents and transport_key_digest(known) == keys.encryption
    )


class Federation:
    """A cohort that has a key. The coordinator has the public context, which holds none.

    Args:
        asking: How holders are reached.
        plan: Whose key it is.
        package: What names run, cohort and key.
        context: The public context.
        holders: Those who took the key.
    """

    def __init__(
        self, asking: Asking, plan: Plan, package: bytes, context: PublicContext, holders: tuple[bytes, ...]
    ) -> None:
        self._asking, self._plan, self._package = asking, plan, package
        self._context, self._holders = context, holders
        terms = asking.run.terms
        self._shape = Shape(
            parameters=vector_length(terms.tensors),
            counters=len(terms.counters),
            weight_cap=terms.weight_cap,
            clip=terms.initial_clip,
        )

    def round(self, number: int, parent: bytes) -> bytes:
        """Run one round and return the digest of the model that a threshold of holders made.

        Raises:
            RoundFailed: Too few uploads arrived, or too few holders agree.
        """
        run, watch = self._asking.run, Stopwatch()
        place = Place(run=run.run, round=number, parent=parent)
        run.events.emit(
            "round-opened",
            round=number,
            cohort=[self._asking.name(account) for account in self._holders],
            threshold=threshold_of(len(self._plan.cohort)),
            n_min=run.terms.n_min,
            model_bytes=4 * self._shape.parameters,
        )
        total, times = self._collect(place, watch)
        if total.count < run.terms.n_min:
            raise RoundFailed(f"{total.count} uploads arrived, {run.terms.n_min} are needed")
        with watch.measure("protection"):
            unsigned = EncryptedSum(
                package=self._package, round=number, parent=parent, chunks=total.encode(), signature=bytes(65)
            )
            encrypted = replace(unsigned, signature=run.account.sign_digest(unsigned.signed))
        agreed, count, counters = self._agree(place, encrypted)
        run.events.emit(
            "round-finalised",
            round=number,
            included=count,
            counters=dict(zip(run.terms.counters, counters, strict=True)),
            model=agreed.hex(),
            train_ms=round(times[envelope.TRAIN_MS], 1),
            holder_protection_ms=round(times[envelope.PROTECT_MS], 1),
            coordinator_protection_ms=watch.milliseconds("protection"),
            ledger_ms=0.0,
            archive_ms=0.0,
        )
        return agreed

    def _collect(self, place: Place, watch: Stopwatch) -> tuple[RunningSum, dict[str, float]]:
        """Add uploads as they arrive; a bad one is a drop-out with a reason."""
        total, seen = RunningSum(self._context, self._shape.length), set[bytes]()
        times = {envelope.TRAIN_MS: 0.0, envelope.PROTECT_MS: 0.0}
        for account, reply in self._asking.train(self._holders, self._begin(place), place.round):
            try:
                data = sealed_bytes(reply, envelope.CKKS)
                with watch.measure("protection"):
                    total.add(self._checked(place, account, seen, data).chunks)
            except RemoteProtocolError as error:
                self._asking.lost("contribution-refused", place.round, account, str(error))
                continue
            seen.add(account)
            reported = reported_times(reply)
            times = {name: max(value, reported.get(name, 0.0)) for name, value in times.items()}
            self._asking.run.events.emit(
                "contribution", round=place.round, holder=self._asking.name(account), bytes=len(data)
            )
        return total, times

    def _begin(self, place: Place) -> bytes:
        """Return what holders are asked; the run's first model is public and goes along while it is the newest."""
        run, model = self._asking.run, b""
        if place.parent.hex() == run.terms.initial_model:
            model = run.archive.get(place.parent, MAX_MODEL_BYTES)
        return CkksBeginCall(place=place, model=model).encode()

    def _checked(self, place: Place, account: bytes, seen: set[bytes], data: bytes) -> Upload:
        """Check an upload before SEAL sees its ciphertexts.

        Raises:
            DecodeError: It is malformed.
            VerificationError: (1) it is of another sender, or a second one, (2) of another round, model or key, (3) not signed
                by the sender's registered key.
        """
        upload = Upload.decode(data)
        # (1)
        if upload.member != account or account in seen:
            raise VerificationError("the upload is not the sender's first", party=account.hex())
        # (2)
        if (upload.package, upload.round, upload.parent) != (self._package, place.round, place.parent):
            raise VerificationError("the upload is of another round, model or key", party=account.hex())
        # (3)
        typed_data.verify(upload.signed, upload.signature, self._asking.run.reader.keys(account).signer)
        return upload

    def _agree(self, place: Place, encrypted: EncryptedSum) -> tuple[bytes, int, tuple[int, ...]]:
        """Have every holder open the sum, and return what a threshold of them reports.

        Raises:
            RoundFailed: Too few report the same.
        """
        votes: Counter[bytes] = Counter()
        reports: dict[bytes, Report] = {}
        payload = place.encode() + encrypted.encode()
        for account, answer in self._asking.query(self._holders, CkksStep.OPEN, payload, place.round):
            try:
                report = Report.decode(answer)
                if report.member != account or report.total != encrypted.signed:
                    raise VerificationError("the report is of another holder or sum", party=account.hex())
                signer = self._asking.run.reader.keys(account).signer
                typed_data.verify(report.signed, report.signature, signer)
            except RemoteProtocolError as error:
                self._asking.lost("answer-refused", place.round, account, str(error))
                continue
            votes[report.statement] += 1
            reports[report.statement] = report
            self._asking.run.events.emit(
                "answer", round=place.round, holder=self._asking.name(account), question="sum"
            )
        statement, count = votes.most_common(1)[0] if votes else (b"", 0)
        needed = threshold_of(len(self._plan.cohort))
        if count < needed:
            raise RoundFailed(f"{count} holders report the same model, {needed} are needed")
        chosen = reports[statement]
        return chosen.model, chosen.count, chosen.counters

    def fetch(self, path: Path, number: int, model: bytes) -> None:
        """Ask the holders for the last model, one after the other; write it if one of them hands it over."""
        place = Place(run=self._plan.run, round=number, parent=model).encode()
        for holder in self._holders:
            for _, data in self._asking.query([holder], CkksStep.HAND_OVER, place, number):
                if model_digest(data) == model:
                    write_atomically(path, data)
                    self._asking.run.events.emit("model-handed-over", holder=self._asking.name(holder))
                    return
        self._asking.run.events.emit("model-kept", model=model.hex())
