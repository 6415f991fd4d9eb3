"""Makes real public folders: a real chain, real contracts, real protocol; only the training is replaced by random updates.

:class:`Consortium` founds a ledger with four holders and plays rounds through :class:`coordinator.session.RoundSession`, the
code that writes public folders in production. :meth:`Consortium.lie` plays a round whose coordinator puts something false
on the ledger, in good form and signed, so that nothing but a recomputation can find it. Keys are derived from names and
worth nothing.

Longer than other files: a consortium is one object, whose steps share chain, archive and accounts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

import coordinator.rounds.machine
import coordinator.session
from coordinator.context import RunContext
from coordinator.history import settle
from coordinator.papers import encode_blocks
from coordinator.rounds.machine import IncludedSet
from coordinator.session import RoundSession
from coordinator.store.events import EventLog
from coordinator.store.journal import Entry, Journal
from fl_core.digests import Label, digest
from fl_core.lattice.parameters import PACK15, PARAMETER_SETS
from fl_core.models import TensorSpec, decode_model, encode_model, model_digest
from fl_core.models.step import FEDAVG, apply_step
from fl_core.protocol.blame import answer_blame
from fl_core.protocol.blame_messages import BlameRequest
from fl_core.protocol.check_messages import CheckRequest
from fl_core.protocol.client import Prepared, contribute
from fl_core.protocol.exclusions import Exclusion, Exclusions, Reason
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.member import Committed, answer
from fl_core.protocol.messages import Frame, Leaf, Reveal, RevealRequest, boxes_digest
from fl_core.protocol.opening import Aggregate, key_digest
from fl_core.protocol.prekeys import sign_prekey
from fl_core.protocol.recovery import opens, recover_key
from fl_core.protocol.setup import quantiser_of, transport_key_digest
from fl_core.protocol.share_check import AcceptedOnLedger, answer_check
from fl_core.protocol.terms import Terms
from fl_core.protocol.weights import WeightOpening, commit_weight
from fl_core.quantise import Block
from fl_core.randomness import SystemRandomSource
from fl_core.secagg import shamir
from fl_core.secagg.boxes import TransportPrivateKey
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.layout import Layout
from fl_core.secret import Secret
from ledger.archive import Archive
from ledger.board import FolderBoard
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.checkpoints import SignedCheckpoint
from ledger.documents import decode_rewards, encode_metrics, encode_rewards
from ledger.files import write_atomically
from ledger.merkle import reward_leaf
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.papers import PublicFolder, RoundPaper, RunPaper
from ledger.reader import LedgerReader
from ledger.records import EMPTY_WORD, Role
from ledger.rewards import RoundFacts, allocate, rewards_tree
from ledger.seal import write_seal
from ledger.signer import KeySigner
from ledger.typed_data import Checkpoint, Domain, KeyPossession, model_id, run_id
from ledger.writer import LedgerWriter, deploy_ledger, deploy_token
from tests.simulators.spoilt_round import Garbage, garbled

CHAIN_ID = 20_262
HOLDERS = ("Alder Hospital", "Birch Clinic", "Cedar Hospital", "Damson Clinic")
REWARD = 1_000_003
"""Not divisible by 3 or 4, so that every division has a remainder."""
ROUNDS = 20
SPECS = (TensorSpec("bias", (3,)), TensorSpec("weight", (5, 3)))
FAR_FUTURE = 4_000_000_000  # Unix seconds


def insecure_key(name: str) -> KeySigner:
    """Return a signer whose key anybody can derive from ``name``."""
    return KeySigner(Secret(hashlib.sha256(name.encode()).digest()))


def dataset_of(name: str) -> bytes:
    """Return the commitment of a holder's data set."""
    return hashlib.sha256(f"{name}/data".encode()).digest()


@dataclass
class Holder:
    """A data holder: client and committee member."""

    name: str
    account: KeySigner
    signer: KeySigner
    transport: TransportPrivateKey
    writer: LedgerWriter
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class Lie:
    """What a dishonest coordinator changes before it finalises a round; each takes the truth.

    Attributes:
        model: Changes the model file.
        metrics: Changes the metrics document.
        cumulative: Changes the cumulative rewards.
        blocks: Changes the next round's blocks.
        key: Changes the digest of the aggregate key.
        reward: What the round pays, whatever the terms say.
    """

    model: Callable[[bytes], bytes] = lambda model: model
    metrics: Callable[[bytes], bytes] = lambda metrics: metrics
    cumulative: Callable[[dict[bytes, int]], dict[bytes, int]] = lambda cumulative: cumulative
    blocks: Callable[[tuple[Block, ...]], tuple[Block, ...]] = lambda blocks: blocks
    key: Callable[[bytes], bytes] = lambda key: key
    reward: int = REWARD


@dataclass(frozen=True, kw_only=True)
class PublicRun:
    """A finished public folder and what its coordinator would need to seal it again.

    Attributes:
        path: The public folder.
        run: Run id.
        contract: The ledger's contract.
        holders: Name -> account.
    """

    path: Path
    run: bytes
    contract: bytes
    holders: Mapping[str, bytes]

    @property
    def public(self) -> PublicFolder:
        """The folder."""
        return PublicFolder(self.path)

    def moved(self, path: Path) -> PublicRun:
        """Return the same run in a copy of the folder."""
        return PublicRun(path=path, run=self.run, contract=self.contract, holders=self.holders)

    def seal(self) -> None:
        """Seal the folder as its coordinator, whatever is in it now."""
        domain = Domain(chain_id=CHAIN_ID, contract=self.contract)
        write_seal(self.public, run=self.run, domain=domain, signer=insecure_key("coordinator"))


class CarelessSession(RoundSession):
    """A round of a coordinator that asks nobody's consent."""

    def _able(self, at_hand: Iterable[bytes], beacon: int) -> dict[bytes, bytes]:
        return {account: self._context.reader.keys(account).encryption for account in at_hand}


@dataclass
class Consortium:
    """A run in progress. ``folder`` becomes the run's folder: ``public/`` and the coordinator's private files.

    Attributes:
        rewards: Whether rounds pay.
        registered: Whether the initial model is put on the ledger.
        careful: Whether the coordinator leaves out holders that do not consent.
        seed: Of the updates.
        specs: The model's tensors.
        blame_opening: Whether the terms allow to ask who spoilt a sum.
        policy: How rewards are divided.
    """

    folder: Path
    rewards: bool = True
    registered: bool = True
    careful: bool = True
    seed: int = 1
    specs: tuple[TensorSpec, ...] = SPECS
    blame_opening: bool = False
    policy: str = "equal"
    _now: int = field(default=1_790_000_000, init=False)
    _sent: dict[bytes, Frame] = field(default_factory=dict, init=False)
    _closed: dict[str, Sequence[int]] = field(default_factory=dict, init=False)
    _liars: set[str] = field(default_factory=set, init=False)
    _garbage: dict[str, Garbage] = field(default_factory=dict, init=False)
    _openings: dict[bytes, WeightOpening] = field(default_factory=dict, init=False)
    _claimed: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.random = SystemRandomSource()
        self._draw = np.random.default_rng(self.seed)
        self.public = PublicFolder(self.folder / "public")
        (self.folder / "coordinator").mkdir(parents=True)
        self.archive = Archive(self.public.archive)
        self.chain = open_embedded(self.public.chain, chain_id=CHAIN_ID, clock=self._clock)
        self.connection = Web3Connection(self.chain)
        self.coordinator = insecure_key("coordinator")
        self.sponsor = insecure_key("sponsor")
        self.contract = self._deploy()
        self.reader = LedgerReader(self.connection, self.contract)
        self.notary = LedgerNotary(CHAIN_ID, self.contract)
        self.writer = self._writer(self.coordinator, "coordinator")
        self.holders = {h.account.address: h for h in map(self._holder, HOLDERS)}
        self.set_keys(self.coordinator, self.coordinator, 1, digest(Label.TRANSPORT_KEY, b""), self.writer)
        self.context = self._found_run()
        self._first_blocks: tuple[Block, ...] | None = None

    def _clock(self) -> int:
        self._now += 7
        return self._now

    def begin_with_clips(self, clip: float) -> None:
        """Have round 1 use another clip than the terms say; only a dishonest coordinator does."""
        blocks = tuple(Block(name=spec.name, size=spec.size, clip=clip) for spec in self.specs)
        self._first_blocks = blocks

    # ------------------------------------------------------------------ founding

    def _deploy(self) -> bytes:
        founders = {insecure_key(name).address: Role.HOLDER for name in HOLDERS}
        founders |= {self.coordinator.address: Role.COORDINATOR, self.sponsor.address: Role.RESEARCHER}
        outbox = self.folder / "coordinator" / "coordinator.outbox"
        return deploy_ledger(self.connection, self.coordinator, outbox, founders=founders, threshold=2)

    def _writer(self, account: KeySigner, name: str) -> LedgerWriter:
        outbox = self.folder / "coordinator" / f"{name}.outbox"
        return LedgerWriter(self.connection, self.contract, account, outbox)

    def _holder(self, name: str) -> Holder:
        account = insecure_key(name)
        holder = Holder(
            name=name,
            account=account,
            signer=account,
            transport=TransportPrivateKey.from_seed(Secret(hashlib.sha256(f"{name}/box".encode()).digest())),
            writer=self._writer(account, name),
        )
        self.rotate(holder, account)
        return holder

    def rotate(self, holder: Holder, signer: KeySigner) -> None:
        """Register a signing key for a holder, its first or a new one; the transport key stays."""
        holder.epoch += 1
        encryption = transport_key_digest(holder.transport.public)
        self.set_keys(holder.account, signer, holder.epoch, encryption, holder.writer)
        holder.signer = signer

    def set_keys(
        self, account: KeySigner, signer: KeySigner, epoch: int, encryption: bytes, writer: LedgerWriter
    ) -> None:
        """Register a key set."""
        statement = KeyPossession(member=account.address, epoch=epoch, encryption=encryption)
        possession = signer.sign_digest(statement.digest(self.reader.domain()))
        writer.set_keys(signer.address, encryption, possession, intent=f"keys/{epoch}")

    def _terms(self, model: bytes) -> Terms:
        return Terms(
            title="A test run",
            purpose="Testing the audit",
            task="none",
            task_settings={},
            tensors=self.specs,
            initial_model=model_digest(model).hex(),
            strategy=FEDAVG,
            rounds=ROUNDS,
            parameter_set="P2048",
            packing="PACK15",
            weight_cap=100,
            counters=("correct",),
            initial_clip=1.0,
            clip_floor=0.25,
            clip_factor=6.0,
            n_min=3,
            reward_policy=self.policy,
            reward_per_round=REWARD if self.rewards else 0,
            bundle="",
            blame_opening=self.blame_opening,
        )

    def _found_run(self) -> RunContext:
        model = encode_model({spec.name: np.zeros(spec.shape, np.float32) for spec in self.specs})
        terms = self._terms(model)
        run, token = self._fund(terms)
        for holder in self.holders.values():
            holder.writer.accept(run, terms.digest, dataset_of(holder.name), intent="accept")
        if self.registered:
            self.writer.register_root(run, model_digest(model), EMPTY_WORD, intent="root")
        names = {account.hex(): holder.name for account, holder in self.holders.items()}
        keys = {account: holder.transport.public for account, holder in self.holders.items()}
        paper = RunPaper(
            chain_id=CHAIN_ID,
            contract=self.contract.hex(),
            token=token.hex(),
            run=run.hex(),
            terms=self.archive.put(terms.encode()).hex(),
            initial_model=self.archive.put(model).hex(),
            transport_keys={account.hex(): self.archive.put(key).hex() for account, key in keys.items()},
            names=names,
        )
        write_atomically(self.public.model, model)
        write_atomically(self.public.run, paper.encode())
        private = self.folder / "coordinator"
        return RunContext(
            public=self.public,
            private=private,
            archive=self.archive,
            chain=self.chain,
            reader=self.reader,
            writer=self.writer,
            account=self.coordinator,
            run=run,
            terms=terms,
            names={bytes.fromhex(account): name for account, name in names.items()},
            transport_keys=keys,
            prekeys={},
            journal=Journal(private / "journal.sqlite"),
            events=EventLog(private / "events.jsonl"),
            clock=self._clock,
            random=self.random,
        )

    def _fund(self, terms: Terms) -> tuple[bytes, bytes]:
        address, outbox = self.sponsor.address, self.folder / "coordinator" / "sponsor.outbox"
        escrow = terms.reward_per_round * ROUNDS
        token = deploy_token(self.connection, self.sponsor, outbox, minter=address, cap=10**12)
        writer, run = self._writer(self.sponsor, "sponsor"), run_id(address, terms.digest)
        if escrow:
            writer.mint(token, address, escrow, intent="mint")
            writer.approve(token, self.contract, escrow, intent="approve")
        writer.create_run(
            run,
            terms.digest,
            token=token,
            escrow=escrow,
            min_clients=terms.n_min,
            max_rounds=terms.rounds,
            coordinator=self.coordinator.address,
            closing_delay=3600,
            intent="run",
        )
        writer.close()
        return run, token

    # ------------------------------------------------------------------ rounds

    def play(
        self,
        *,
        away: Sequence[str] = (),
        silent: Sequence[str] = (),
        closed: Mapping[str, Sequence[int]] | None = None,
        liars: Sequence[str] = (),
        garbage: Mapping[str, Garbage] | None = None,
        mute: Sequence[str] = (),
        unopened: Sequence[str] = (),
        claimed: Mapping[str, int] | None = None,
    ) -> None:
        """Play one round of an honest coordinator.

        Args:
            away: Holders of the cohort that send nothing, and answer nothing.
            silent: Holders that contribute but do not answer.
            closed: Holder -> seats, from 0, for which its boxes do not open.
            liars: Holders that give a false sum at the reveal.
            garbage: Holder -> what it adds to its ciphertext.
            mute: Holders that do not answer who spoilt a sum.
            unopened: Holders that do not open their weight.
            claimed: Holder -> units by which the weight that it commits to is more than the one it encrypted.
        """
        self._closed, self._liars, self._garbage = dict(closed or {}), set(liars), dict(garbage or {})
        self._claimed = dict(claimed or {})
        session, _, aggregate = self._until_opened(away, silent)
        self._blame(session, {*away, *silent, *mute})
        self._open_weights(session, unopened)
        session.finalise(apply_step(FEDAVG, session.tensors, aggregate.update))
        self._closed, self._liars, self._garbage = {}, set(), {}

    def _open_weights(
        self, session: RoundSession, unopened: Sequence[str] = ()
    ) -> dict[bytes, WeightOpening]:
        """Let everybody but ``unopened`` open its weight, where the terms pay by examples; return who opened what."""
        opened = {}
        for account, _ in session.weight_requests():
            if self.holders[account].name not in unopened:
                opened[account] = self._openings[account]
                session.add_weight(opened[account].encode())
        return opened

    def play_without(self, name: str) -> None:
        """Play a round that leaves out a holder against the members' values; only a dishonest coordinator does."""
        client = insecure_key(name).address
        pretext = Exclusion(client=client, reason=Reason.WRONG_KEY, disputed_by=())
        honest = coordinator.rounds.machine.judge
        coordinator.rounds.machine.judge = lambda *_, **__: Exclusions(excluded=(pretext,), unreliable=())
        try:
            self.play()
        finally:
            coordinator.rounds.machine.judge = honest

    def play_from_root(self) -> None:
        """Play a round that trains from the initial model, whatever came after it; only a dishonest coordinator does."""
        artifact = bytes.fromhex(self.context.terms.initial_model)
        write_atomically(self.public.model, self.archive.get(artifact, 1 << 20))
        honest = coordinator.session.newest_model
        coordinator.session.newest_model = lambda context, _: (model_id(context.run, 0, artifact), artifact)
        try:
            self.play()
        finally:
            coordinator.session.newest_model = honest

    def play_and_abort(self) -> None:
        """Play a round that fails after both commits."""
        session = self._open()
        self._contribute(session, ())
        session.commit()
        self._check(session, set())
        session.include()
        session.abort()

    def lie(self, lie: Lie) -> None:
        """Play a round that is honest until the coordinator finalises it."""
        session, included, aggregate = self._until_opened((), ())
        number, header, c = session.header.round, session.header, self.context
        parameters = PARAMETER_SETS[header.parameter_set]
        reveals = dict(sorted(session.machine.reveals.items()))
        shares = {m: shamir.decode_vector(parameters, reveal.shares) for m, reveal in reveals.items()}
        sums = session.machine._collector.sums
        key = recover_key(header, shares, accept=opens(header, sums, len(included.members))).key
        truth = encode_metrics(header, aggregate, self.random.secret(32).reveal())
        metrics = lie.metrics(truth)
        model = lie.model(encode_model(apply_step(FEDAVG, session.tensors, aggregate.update)))
        opened = self._open_weights(session)
        facts = RoundFacts(included=included.members, weights={m: o.units for m, o in opened.items()})
        cumulative = lie.cumulative(allocate(self.policy, facts, lie.reward, self._earned()).earned)
        rewards = encode_rewards(c.run, cumulative)
        blocks = quantiser_of(header).next_blocks(
            aggregate.sums, aggregate.count, floor=c.terms.clip_floor, factor=c.terms.clip_factor
        )
        objects = {
            "header": header.encode(),
            "exclusions": included.exclusions.encode(),
            "aggregate_key": shamir.encode_vector(parameters, key),
            "metrics": metrics,
            "rewards": rewards,
            "model": model,
        }
        frames = dict(sorted(self._sent.items()))
        paper = RoundPaper(
            round=number,
            leaves={m.hex(): self._put(frame.leaf.encode()) for m, frame in frames.items()},
            included=[member.hex() for member in included.members],
            ciphertexts={m.hex(): self._put(frame.ciphertext) for m, frame in frames.items()},
            prekeys={m.hex(): self._put(prekey.encode()) for m, prekey in session.prekeys.items()},
            checks={m.hex(): self._put(said.encode()) for m, said in session.machine.checks.items()},
            reveals={m.hex(): self._put(reveal.encode()) for m, reveal in reveals.items()},
            blames={},
            blamed=[],
            weights={m.hex(): self._put(opening.encode()) for m, opening in opened.items()},
            **{name: self._put(data) for name, data in objects.items()},
        )
        entries = {
            Entry.PAPER: paper.encode(),
            Entry.MODEL: model_digest(model),
            Entry.BLOCKS: encode_blocks(lie.blocks(blocks)),
            Entry.REWARDS: rewards,
            Entry.BLAMED: b"",
        }
        for entry, value in entries.items():
            c.journal.write(number, entry, value)
        c.writer.finalise_round(
            c.run,
            number,
            model_digest(model),
            lie.key(key_digest(header, key)),
            model_digest(metrics),
            rewards_tree(c.run, cumulative).root,
            lie.reward,
            intent=f"lie/{number}",
        )
        settle(c, number)

    def _until_opened(
        self, away: Sequence[str], silent: Sequence[str]
    ) -> tuple[RoundSession, IncludedSet, Aggregate]:
        session = self._open()
        self._contribute(session, away)
        session.commit()
        self._check(session, {*away, *silent})
        included = session.include()
        self._answer(session, {*away, *silent})
        return session, included, session.open()

    def _put(self, data: bytes) -> str:
        return self.archive.put(data).hex()

    def _earned(self) -> dict[bytes, int]:
        noted = self.context.journal.last(Entry.REWARDS)
        return {} if noted is None else decode_rewards(noted[1])

    def _open(self) -> RoundSession:
        tensors = decode_model(self.public.model.read_bytes(), 1 << 20)
        for account, holder in self.holders.items():
            signer = LedgerSigner(self.notary, holder.signer)
            self.context.prekeys[account] = sign_prekey(account, 1, holder.transport.public, signer)
        kind = RoundSession if self.careful else CarelessSession
        if self._first_blocks is not None:
            blocks, self._first_blocks = self._first_blocks, None
            kind = type("LyingSession", (kind,), {"_blocks": lambda _: blocks})
        return kind(self.context, tensors, self.holders, FAR_FUTURE)

    def _contribute(self, session: RoundSession, away: Sequence[str]) -> None:
        header = session.header
        keys = tuple(self.holders[seat.address].transport.public for seat in header.committee)
        self._sent = {}
        for account, holder in self.holders.items():
            if holder.name in away or account not in header.cohort:
                continue
            prepared = contribute(
                header,
                me=account,
                update=self._draw.normal(0, 0.1, header.parameters).astype(np.float32),
                examples=int(self._draw.integers(20, 150)),
                counters=(int(self._draw.integers(0, 20)),),
                dataset=dataset_of(holder.name),
                transport_keys=keys,
                signer=LedgerSigner(self.notary, holder.signer),
                random=self.random,
            )
            frame = self._claims(holder, prepared, self._spoiled(holder, prepared.frame))
            session.accept(frame.encode())
            self._sent[account] = frame

    def _claims(self, holder: Holder, prepared: Prepared, frame: Frame) -> Frame:
        """Note how the weight opens; sign the leaf again of a holder that commits to another weight than it encrypted."""
        statement, salt = frame.leaf.statement, prepared.weight_salt.reveal()
        units = prepared.units + self._claimed.get(holder.name, 0)
        me = statement.member
        self._openings[me] = WeightOpening(header=statement.header, member=me, units=units, salt=salt)
        if units == prepared.units:
            return frame
        statement = replace(statement, weight=commit_weight(statement.header, me, salt, units))
        signature = LedgerSigner(self.notary, holder.signer).sign(statement)
        return replace(frame, leaf=Leaf(statement=statement, signature=signature))

    def _spoiled(self, holder: Holder, frame: Frame) -> Frame:
        """Return the frame with the boxes closed that are to be, signed again."""
        seats = self._closed.get(holder.name, ())
        if holder.name in self._garbage:
            return self._garbled(holder, frame)
        if not seats:
            return frame
        sealed = tuple(bytes(len(box)) if seat in seats else box for seat, box in enumerate(frame.boxes))
        statement = replace(frame.leaf.statement, boxes=boxes_digest(sealed))
        signature = LedgerSigner(self.notary, holder.signer).sign(statement)
        return replace(frame, leaf=Leaf(statement=statement, signature=signature), boxes=sealed)

    def _garbled(self, holder: Holder, frame: Frame) -> Frame:
        """Return the frame with another ciphertext, signed again."""
        size = sum(spec.size for spec in self.specs) + 2
        layout = Layout(params=PARAMETER_SETS["P2048"], packing=PACK15, length=size)
        ciphertext = garbled(layout, frame.ciphertext, self._garbage[holder.name])
        statement = replace(frame.leaf.statement, ciphertext=ciphertext_root(layout, ciphertext))
        signature = LedgerSigner(self.notary, holder.signer).sign(statement)
        return replace(frame, leaf=Leaf(statement=statement, signature=signature), ciphertext=ciphertext)

    def _false(self, holder: Holder, header: RoundHeader, reveal: Reveal) -> Reveal:
        """Return another sum of shares that the member signed all the same."""
        parameters = PARAMETER_SETS[header.parameter_set]
        shares = shamir.decode_vector(parameters, reveal.shares).copy()
        shares[0] = (int(shares[0]) + 1) % parameters.modulus
        encoded = shamir.encode_vector(parameters, shares)
        statement = replace(reveal.statement, shares=digest(Label.SHARES, encoded))
        signature = LedgerSigner(self.notary, holder.signer).sign(statement)
        return Reveal(statement=statement, shares=encoded, signature=signature)

    def _check(self, session: RoundSession, silent: set[str]) -> None:
        header, record = session.header, self.reader.round(self.context.run, session.header.round)
        committed = AcceptedOnLedger(
            root=record.root,
            count=record.count,
            signers={account: self.reader.keys(account).signer for account in header.cohort},
        )
        for account, request in session.check_requests():
            holder = self.holders[account]
            if holder.name in silent:
                continue
            said = answer_check(
                header,
                CheckRequest.decode(request),
                me=account,
                committed=committed,
                transport=holder.transport,
                notary=self.notary,
                signer=LedgerSigner(self.notary, holder.signer),
            )
            session.add_check(said.encode())

    def _committed(self, header: RoundHeader) -> Committed:
        record = self.reader.round(self.context.run, header.round)
        return Committed(
            accepted_root=record.root,
            accepted_count=record.count,
            included_root=record.included,
            included_count=record.included_count,
            signers={account: self.reader.keys(account).signer for account in header.cohort},
        )

    def _blame(self, session: RoundSession, silent: set[str]) -> None:
        committed = self._committed(session.header)
        for account, request in session.blame_requests():
            holder = self.holders[account]
            if holder.name not in silent:
                said = answer_blame(
                    session.header,
                    BlameRequest.decode(request),
                    me=account,
                    committed=committed,
                    transport=holder.transport,
                    notary=self.notary,
                    signer=LedgerSigner(self.notary, holder.signer),
                )
                session.add_blame(said.encode())

    def _answer(self, session: RoundSession, silent: set[str]) -> None:
        header = session.header
        committed = self._committed(header)
        for account, request in session.requests():
            holder = self.holders[account]
            if holder.name not in silent:
                reveal = answer(
                    header,
                    RevealRequest.decode(request),
                    me=account,
                    committed=committed,
                    transport=holder.transport,
                    notary=self.notary,
                    signer=LedgerSigner(self.notary, holder.signer),
                )
                if holder.name in self._liars:
                    reveal = self._false(holder, header, reveal)
                session.add_reveal(reveal.encode())

    # ------------------------------------------------------------------ afterwards

    def withdraw(self, name: str) -> None:
        """Have a holder withdraw its consent."""
        self.holders[insecure_key(name).address].writer.withdraw(self.context.run, intent="withdraw")

    def claim(self, name: str, number: int) -> None:
        """Have a holder paid what it earned up to a round."""
        noted = self.context.journal.read(number, Entry.REWARDS)
        assert noted is not None
        cumulative = decode_rewards(noted)
        tree = rewards_tree(self.context.run, cumulative)
        account = insecure_key(name).address
        leaf = reward_leaf(self.context.run, account, cumulative[account])
        self.holders[account].writer.claim(
            self.context.run, number, account, cumulative[account], tree.proof(leaf), intent=f"claim/{number}"
        )

    def cosign(self, holder: Holder) -> None:
        """Leave a holder's checkpoint of the newest block."""
        head, genesis = self.connection.head(), self.connection.block_hash(0)
        assert genesis is not None
        statement = Checkpoint(
            member=holder.account.address, genesis=genesis, number=head.number, hash=head.hash
        )
        signature = holder.signer.sign_digest(statement.digest(self.reader.domain()))
        signed = SignedCheckpoint(**asdict(statement), signature=signature)
        FolderBoard(self.public.checkpoints).publish(signed.encode())

    def close(self) -> PublicRun:
        """Close everything, seal the folder and return it."""
        for holder in self.holders.values():
            holder.writer.close()
            self.cosign(holder)
        self.context.close()
        run = PublicRun(
            path=self.public.path,
            run=self.context.run,
            contract=self.contract,
            holders={holder.name: account for account, holder in self.holders.items()},
        )
        run.seal()
        return run


def honest_run(folder: Path) -> PublicRun:
    """Return a folder with all that happens in a normal run.

    Round 1 has everybody; round 2 is aborted; in round 3 a holder is away; then a holder takes a new signing key, another
    one claims its rewards; in round 4 a member does not answer.
    """
    consortium = Consortium(folder)
    consortium.play()
    consortium.play_and_abort()
    consortium.play(away=HOLDERS[3:])
    first = consortium.holders[insecure_key(HOLDERS[0]).address]
    consortium.rotate(first, insecure_key("Alder Hospital, second key"))
    consortium.claim(HOLDERS[1], 3)
    consortium.play(silent=HOLDERS[1:2])
    return consortium.close()


def disputed_run(folder: Path) -> PublicRun:
    """Return the folder of an honest coordinator among holders of whom some cheat.

    In round 1 everything is in order. In round 2 no box of one holder opens, in round 3 one box does not; in round 4 a
    member gives a false sum.
    """
    consortium = Consortium(folder)
    consortium.play()
    consortium.play(closed={HOLDERS[3]: range(4)})
    consortium.play(closed={HOLDERS[1]: [2]})
    consortium.play(liars=HOLDERS[2:3])
    return consortium.close()


def dishonest_run(folder: Path) -> PublicRun:
    """Return a folder in good form, sealed, whose coordinator lied on the ledger.

    Round 1 is honest. The model of round 2 is not what the aggregate makes; the metrics of round 3 are others; round 4
    pays one holder's unit to another one; and the clips of round 6 do not follow from round 5.
    """
    consortium = Consortium(folder)
    consortium.play()
    consortium.lie(Lie(model=_better_model))
    consortium.lie(Lie(metrics=lambda document: document.replace(b'"contributions":4', b'"contributions":5')))
    consortium.lie(Lie(cumulative=_one_unit_moved))
    consortium.lie(Lie(blocks=lambda blocks: tuple(replace(block, clip=2 * block.clip) for block in blocks)))
    consortium.play()
    return consortium.close()


def unconsented_run(folder: Path) -> PublicRun:
    """Return a folder whose round 2 uses the data of a holder that had withdrawn."""
    consortium = Consortium(folder, careful=False)
    consortium.play()
    consortium.withdraw(HOLDERS[0])
    consortium.play(away=HOLDERS[3:])
    return consortium.close()


def misstated_run(folder: Path) -> PublicRun:
    """Return a folder whose only round paid more than the terms say, under the digest of another aggregate key."""
    consortium = Consortium(folder)
    consortium.lie(Lie(key=lambda key: hashlib.sha256(key).digest(), reward=2 * REWARD))
    return consortium.close()


def _better_model(model: bytes) -> bytes:
    tensors = {name: tensor.copy() for name, tensor in decode_model(model, len(model)).items()}
    tensors["bias"][0] += np.float32(0.5)
    return encode_model(tensors)


def _one_unit_moved(cumulative: dict[bytes, int]) -> dict[bytes, int]:
    first, second, *_ = sorted(cumulative)
    return {**cumulative, first: cumulative[first] - 1, second: cumulative[second] + 1}
