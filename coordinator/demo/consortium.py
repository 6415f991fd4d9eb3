"""Founds the demo's consortium: chain, contracts, members with keys, a funded run that every hospital accepted.

Every account signs its own transactions with its own key. The founders' vote threshold is a majority; nobody owns the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.demo.ckks import ckks_terms
from coordinator.demo.holders import Hospital, TrainingTask
from coordinator.demo.options import DemoOptions
from coordinator.demo.preflight import MAX_FOUNDERS, OFFICES
from coordinator.run_chain import LEDGER_PATIENCE_S
from fl_core.digests import Label, digest
from fl_core.models import encode_model, model_digest, specs_of
from fl_core.protocol.rules import least_n_min
from fl_core.protocol.terms import Terms
from fl_core.randomness import RandomSource
from fl_core.secret import Secret
from ledger.address import FILE as LEDGER_FILE
from ledger.address import LedgerAddress, write_address
from ledger.archive import Archive
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.files import write_atomically
from ledger.papers import PublicFolder, RunPaper
from ledger.records import EMPTY_WORD, Role
from ledger.signer import KeystoreSigner, Signer, create_keystore
from ledger.typed_data import Domain, KeyPossession, run_id
from ledger.writer import LedgerWriter, deploy_ledger, deploy_token

CHAIN_ID = 20_260
SCRYPT_COST = 1 << 12
"""Cheap on purpose: the demo's keys protect nothing and live as long as its folder."""

TOKEN = 10**18
REWARD_PER_ROUND = 100 * TOKEN
CLOSING_DELAY_S = 7 * 24 * 3600
UPDATES, BATCH_SIZE, LEARNING_RATE = 100, 4, 0.001
"""Local updates in a round, examples in an update and step size; see ``docs/reference/heart-disease.md``."""
WEIGHT_CAP = 1000
INITIAL_CLIP, CLIP_FLOOR, CLIP_FACTOR = 1.0, 0.25, 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """An account with a folder of its own: coordinator, researcher or auditor."""

    folder: Path
    signer: Signer


def open_office(folder: Path, random: RandomSource) -> Office:
    """Make a folder with a fresh account."""
    folder.mkdir(mode=0o700, parents=True)
    passphrase = Secret(random.secret(24).reveal().hex().encode())
    write_atomically(folder / "passphrase", passphrase.reveal(), 0o600)
    create_keystore(folder / "account.json", passphrase, source=random, scrypt_cost=SCRYPT_COST)
    return Office(folder=folder, signer=KeystoreSigner(folder / "account.json", passphrase))


def write_terms(options: DemoOptions, task: TrainingTask, hospitals: int, bundle: str) -> tuple[Terms, bytes]:
    """Return the run's terms and the model file that it begins with."""
    tensors = task.initial()
    model = encode_model(tensors)
    terms = Terms(
        title="Heart disease across hospitals",
        purpose="Demonstration: predict heart disease from ten findings of a first examination.",
        task="heart-disease",
        task_settings={
            "updates": UPDATES,
            "batch_size": BATCH_SIZE,
            "learning_rate": LEARNING_RATE,
            "seed": options.seed,
        },
        tensors=specs_of(tensors),
        initial_model=model_digest(model).hex(),
        strategy="fedavg",
        rounds=options.rounds,
        parameter_set="P4096",
        packing="PACK15",
        weight_cap=WEIGHT_CAP,
        counters=task.counters,
        initial_clip=INITIAL_CLIP,
        clip_floor=CLIP_FLOOR,
        clip_factor=CLIP_FACTOR,
        n_min=least_n_min(hospitals),
        reward_policy=options.rewards,
        reward_per_round=REWARD_PER_ROUND,
        bundle=bundle,
        blame_opening=True,
    )
    return (ckks_terms(terms) if options.ckks else terms), model


def found_consortium(
    options: DemoOptions,
    hospitals: Sequence[Hospital],
    terms: Terms,
    model: bytes,
    *,
    clock: Callable[[], int],
    random: RandomSource,
) -> bytes:
    """Make the run's folder up to the point where round 1 can open, and return the run id."""
    public = PublicFolder(options.folder / "public")
    public.path.mkdir()
    coordinator, researcher, auditor = (
        open_office(options.folder / name, random) for name in ("coordinator", "researcher", "auditor")
    )
    connection, where, close = _open_chain(options.ledger_url, public, clock)
    try:
        first = hospitals[: MAX_FOUNDERS - OFFICES]
        founders = {hospital.account: Role.HOLDER for hospital in first}
        founders[coordinator.signer.address] = Role.COORDINATOR
        founders[researcher.signer.address] = Role.RESEARCHER
        founders[auditor.signer.address] = Role.AUDITOR
        threshold = len(founders) // 2 + 1
        contract = deploy_ledger(
            connection,
            coordinator.signer,
            coordinator.folder / "outbox.sqlite",
            founders=founders,
            threshold=threshold,
        )
        for hospital in first:
            hospital.join(connection, contract, where)
        for hospital in hospitals[len(first) :]:
            for voter in first[:threshold]:
                voter.vote_in(hospital.account)
            hospital.join(connection, contract, where)
        run, token = _fund(connection, contract, coordinator, researcher, options, terms)
        for hospital in hospitals:
            hospital.accept(run, terms)
        _register_root(connection, contract, coordinator, run, model)
        if options.ledger_url is not None:
            address = LedgerAddress(chain=where, chain_id=connection.chain_id, contract=contract.hex())
            write_address(coordinator.folder / LEDGER_FILE, address)
    finally:
        close()
    domain = Domain(chain_id=connection.chain_id, contract=contract)
    _publish(public, hospitals, coordinator, researcher, auditor, domain, token, run, terms, model)
    return run


def _open_chain(
    url: str | None, public: PublicFolder, clock: Callable[[], int]
) -> tuple[Web3Connection, str, Callable[[], None]]:
    """Open the chain that the ledger goes on; return how nodes find it, and what lets go of it."""
    if url is not None:
        return Web3Connection(url, patience_s=LEDGER_PATIENCE_S), url, lambda: None
    chain = open_embedded(public.chain, chain_id=CHAIN_ID, clock=clock)
    return Web3Connection(chain), f"embedded:{public.chain.resolve()}", chain.close


def _fund(
    connection: Web3Connection,
    contract: bytes,
    coordinator: Office,
    researcher: Office,
    options: DemoOptions,
    terms: Terms,
) -> tuple[bytes, bytes]:
    """The researcher makes reward tokens, pays them into escrow and opens the run."""
    outbox, address = researcher.folder / "outbox.sqlite", researcher.signer.address
    escrow = terms.reward_per_round * options.rounds
    token = deploy_token(connection, researcher.signer, outbox, minter=address, cap=escrow)
    writer = LedgerWriter(connection, contract, researcher.signer, outbox)
    try:
        writer.mint(token, address, escrow, intent="mint")
        writer.approve(token, contract, escrow, intent="approve")
        run = run_id(address, terms.digest)
        writer.create_run(
            run,
            terms.digest,
            token=token,
            escrow=escrow,
            min_clients=terms.n_min,
            max_rounds=options.rounds,
            coordinator=coordinator.signer.address,
            closing_delay=CLOSING_DELAY_S,
            intent="create-run",
        )
    finally:
        writer.close()
    return run, token


def _register_root(
    connection: Web3Connection, contract: bytes, coordinator: Office, run: bytes, model: bytes
) -> None:
    """The coordinator registers its signing key, for receipts, and the model that round 1 trains from."""
    writer = LedgerWriter(connection, contract, coordinator.signer, coordinator.folder / "outbox.sqlite")
    try:
        address = coordinator.signer.address
        encryption = digest(Label.TRANSPORT_KEY, b"")  # the coordinator receives no boxes
        statement = KeyPossession(member=address, epoch=1, encryption=encryption)
        domain = Domain(chain_id=connection.chain_id, contract=contract)
        possession = coordinator.signer.sign_digest(statement.digest(domain))
        writer.set_keys(address, encryption, possession, intent="keys/1")
        writer.register_root(run, model_digest(model), EMPTY_WORD, intent="register-root")
    finally:
        writer.close()


def _publish(
    public: PublicFolder,
    hospitals: Sequence[Hospital],
    coordinator: Office,
    researcher: Office,
    auditor: Office,
    domain: Domain,
    token: bytes,
    run: bytes,
    terms: Terms,
    model: bytes,
) -> None:
    """Write the public folder's first papers."""
    archive = Archive(public.archive)
    offices = (("coordinator", coordinator), ("researcher", researcher), ("auditor", auditor))
    names = {hospital.account.hex(): hospital.name for hospital in hospitals}
    names |= {office.signer.address.hex(): name for name, office in offices}
    paper = RunPaper(
        chain_id=domain.chain_id,
        contract=domain.contract.hex(),
        token=token.hex(),
        run=run.hex(),
        terms=archive.put(terms.encode()).hex(),
        initial_model=archive.put(model).hex(),
        transport_keys={h.account.hex(): archive.put(h.transport_key).hex() for h in hospitals},
        names=names,
    )
    write_atomically(public.model, model)
    write_atomically(public.run, paper.encode())
