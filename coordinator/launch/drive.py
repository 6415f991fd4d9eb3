"""Drives a launch from wherever it stands to the SuperLink: each step can be killed and is then taken again, with one effect.

===============  ==================================================================================================
step             why taking it again has one effect
===============  ==================================================================================================
CREATED          the accounts' outboxes send each intent once; papers are replaced by the same papers
CONSENTED        only reads
SUBMITTED        the app's name is this launch's own: a run of it that the SuperLink knows is taken over;
                 for the same reason a SuperLink that is away is waited for, and asked anew
===============  ==================================================================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from coordinator import app
from coordinator.context import ACCOUNT_URI
from coordinator.curves.file import check_out
from coordinator.engines.bundle import build_bundle
from coordinator.engines.control import FlowerControl
from coordinator.engines.settings import Setting, encode_settings
from coordinator.errors import RunStateError, SuperLinkAway
from coordinator.launch.accounts import writer_of
from coordinator.launch.prepare import MAX_MODEL
from coordinator.launch.state import PRIVATE, LaunchFolder, LaunchState, Step
from coordinator.launch.underway import attended, newest
from fl_core.errors import InputError, VerificationError
from fl_core.models import model_digest
from fl_core.protocol.terms import MAX_TERMS, Terms
from ledger.address import FILE as LEDGER_FILE
from ledger.address import OpenLedger, find_ledger, open_ledger, write_address
from ledger.archive import Archive
from ledger.desk.keys import NO_BOXES
from ledger.errors import ChainUnreachable, RecordMissing
from ledger.files import read_plain, write_atomically
from ledger.papers import PublicFolder, RunPaper
from ledger.records import EMPTY_ADDRESS, EMPTY_WORD, Run, RunState
from ledger.signer import Signer, open_signer
from ledger.typed_data import KeyPossession

POLL_S, SUPERLINK_S = 1.0, 3.0
"""Seconds between two looks at the ledger, and at a SuperLink that is away, which costs a process."""
Say = Callable[[str], None]


def drive(folder: LaunchFolder, *, timeout_s: float, say: Say) -> LaunchState:
    """Take every step that is left; return the state when the SuperLink has the run.

    Raises:
        InputError: The launch cannot go on, or too few consents came in time: resume it.
        VerificationError: The bundle on disk is not the one that the terms name.
        LedgerError: The ledger refuses, or is away: resume it.
        EngineError: The SuperLink was away for ``timeout_s`` seconds, or refuses: resume it.
    """
    with folder.alone():
        state = folder.read()
        if state.step == Step.ABORTED.value:
            raise InputError(
                f"The run in {folder.path} was aborted.",
                fix="Launch a new one, with another `folder` in its run file.",
            )
        terms = Terms.decode(read_plain(folder.launch / "terms.json", MAX_TERMS))
        if terms.digest.hex() != state.terms:
            raise RunStateError(f"{folder.launch} holds other terms than those of the run.")
        check_bundle(folder.launch / state.app, terms)
        if state.step == Step.PREPARED.value:
            _create(folder, state, terms)
            state = folder.reach(state, Step.CREATED)
            say(f"The run 0x{state.run} is on the ledger.")
        if state.step == Step.CREATED.value:
            _wait(state, timeout_s, say, folder)
            state = folder.reach(state, Step.CONSENTED)
        return _submit_when_there(folder, terms, timeout_s, say)


def check_bundle(folder: Path, terms: Terms) -> None:
    """Check that the app in ``folder`` makes the bundle that the terms name.

    Raises:
        VerificationError: It does not.
    """
    found = build_bundle(folder).sha256.hex()
    if found != terms.bundle:
        raise VerificationError(
            f"The bundle {found} is not the one of the terms, {terms.bundle}.",
            fix=f"Somebody changed {folder}, or Flower; restore it: holders refuse any other bundle.",
        )


# ---------------------------------------------------------------------- on the ledger


def _create(folder: LaunchFolder, state: LaunchState, terms: Terms) -> None:
    """Put run, escrow, the coordinator's key and the first model on the ledger, then publish the papers."""
    address = find_ledger(Path(state.ledger))
    sponsor, coordinator = open_signer(state.researcher), open_signer(state.coordinator)
    ledger = open_ledger(address, write=True)
    try:
        _fund(ledger, state, terms, sponsor, coordinator)
        model = read_plain(folder.launch / "initial.safetensors", MAX_MODEL)
        _root(ledger, state, coordinator, model)
        _publish(folder, ledger, state, terms, model)
    finally:
        ledger.close()
    private = folder.path / "coordinator"
    private.mkdir(mode=0o700, exist_ok=True)
    if address.path is None:
        write_address(private / LEDGER_FILE, address)
    write_atomically(private / ACCOUNT_URI, state.coordinator.encode(), PRIVATE)


def _fund(ledger: OpenLedger, state: LaunchState, terms: Terms, sponsor: Signer, coordinator: Signer) -> None:
    run, escrow = bytes.fromhex(state.run), int(state.escrow)
    token = bytes.fromhex(state.token) if state.token else EMPTY_ADDRESS
    writer = writer_of(ledger, state.researcher, sponsor)
    try:
        found = found_run(ledger, run)
        if found is not None and found.state is not RunState.OPEN:
            raise InputError(
                f"The run 0x{state.run} is on the ledger already, and is {found.state.name}.",
                fix="Change something in the run file, its folder for instance: that makes another run.",
            )
        if found is not None:
            return
        if escrow and ledger.reader.token_allowance(token, sponsor.address, ledger.reader.address) < escrow:
            intent = writer.usable(f"{state.run}/approve")
            writer.approve(token, ledger.reader.address, escrow, intent=intent)
        writer.create_run(
            run, terms.digest, token=token, escrow=escrow, min_clients=terms.n_min, max_rounds=terms.rounds,
            budget=state.budget, coordinator=coordinator.address, closing_delay=state.closing_delay,
            intent=writer.usable(f"{state.run}/create"),
        )  # fmt: skip
    finally:
        writer.close()


def found_run(ledger: OpenLedger, run: bytes) -> Run | None:
    """Return a run, or None where the ledger has none."""
    try:
        return ledger.reader.run(run)
    except RecordMissing:
        return None


def _root(ledger: OpenLedger, state: LaunchState, coordinator: Signer, model: bytes) -> None:
    writer = writer_of(ledger, state.coordinator, coordinator)
    try:
        member = ledger.reader.member(coordinator.address)
        if member.epoch == 0:
            statement = KeyPossession(member=coordinator.address, epoch=1, encryption=NO_BOXES)
            proof = coordinator.sign_digest(statement.digest(ledger.reader.domain()))
            writer.set_keys(coordinator.address, NO_BOXES, proof, intent=writer.usable("keys/1"))
        intent = writer.usable(f"{state.run}/root")
        writer.register_root(bytes.fromhex(state.run), model_digest(model), EMPTY_WORD, intent=intent)
    finally:
        writer.close()


def _publish(
    folder: LaunchFolder, ledger: OpenLedger, state: LaunchState, terms: Terms, model: bytes
) -> None:
    public = PublicFolder(folder.path / "public")
    archive = Archive(public.archive)
    paper = RunPaper(
        chain_id=ledger.address.chain_id, contract=ledger.address.contract, token=state.token or EMPTY_ADDRESS.hex(),
        run=state.run, terms=archive.put(terms.encode()).hex(), initial_model=archive.put(model).hex(),
        transport_keys={}, names=state.names,
    )  # fmt: skip
    write_atomically(public.model, model)
    write_atomically(public.run, paper.encode())


def _wait(state: LaunchState, timeout_s: float, say: Say, folder: LaunchFolder) -> None:
    """Wait for consents; members write to the chain meanwhile, so it is opened for each look only.

    Raises:
        InputError: They did not come in time.
    """
    end, told, away = time.monotonic() + timeout_s, -1, False
    while True:
        try:
            accepted = _accepted(state)
        except ChainUnreachable as error:  # it comes back, and nothing is lost meanwhile
            if time.monotonic() >= end:
                raise
            if not away:
                say(f"{error.message} Waiting for it.")
            away = True
            time.sleep(POLL_S)
            continue
        away = False
        if accepted != told:
            say(f"{accepted} of {state.consents} holders consent.")
            told = accepted
        if accepted >= state.consents:
            return
        if time.monotonic() >= end:
            raise InputError(
                f"{accepted} of {state.consents} consents came within {timeout_s:g} s; nothing is lost.",
                fix=f"Ask the holders, then: suture resume {folder.path}",
            )
        time.sleep(POLL_S)


def _accepted(state: LaunchState) -> int:
    """Return how many holders consent now."""
    ledger = open_ledger(find_ledger(Path(state.ledger)))
    try:
        return ledger.reader.run(bytes.fromhex(state.run)).accepted
    finally:
        ledger.close()


# ---------------------------------------------------------------------- on the SuperLink


def _submit_when_there(folder: LaunchFolder, terms: Terms, timeout_s: float, say: Say) -> LaunchState:
    """Submit the run; a SuperLink that does not answer is waited for, and what it knows is looked at anew then.

    Raises:
        SuperLinkAway: It did not come back in time.
    """
    end, told = time.monotonic() + timeout_s, False
    while True:
        try:
            return _submit(folder, folder.read(), terms, say)
        except SuperLinkAway as error:
            if time.monotonic() >= end:
                raise
            if not told:
                say(f"{error.message} Waiting for it. {error.fix}")
            told = True
        time.sleep(SUPERLINK_S)


def _submit(folder: LaunchFolder, state: LaunchState, terms: Terms, say: Say) -> LaunchState:
    """Start the run on the SuperLink, unless one of this launch's app is under way there."""
    control = FlowerControl(Path(state.superlink))
    if numbers := attended(state, folder.path / "coordinator", say):
        say(f"Flower's run {numbers[-1]} is under way.")
        return folder.reach(state, Step.SUBMITTED, flower_run=str(numbers[-1]))
    ledger = open_ledger(find_ledger(Path(state.ledger)))
    try:
        left = terms.rounds - ledger.reader.run(bytes.fromhex(state.run)).finalised
    finally:
        ledger.close()
    if left <= 0:
        # a launch may have died right after it had submitted, and the SuperLink may have lost its database
        found = newest(state)
        number = state.flower_run if found is None else str(found[0])
        name = folder.path.resolve().name
        say(f"All rounds are finalised. Fetch the model: suture fetch {folder.path} {name}-model")
        return folder.reach(state, Step.SUBMITTED, flower_run=number)
    settings = folder.launch / "run-config.toml"
    write_atomically(settings, encode_settings(_config(folder, state, left)).encode(), PRIVATE)
    state = folder.reach(state, Step.SUBMITTING)
    submitted = control.submit((folder.launch / state.app).resolve(), settings.resolve())
    say(f"Started on the SuperLink as Flower's run {submitted}.")
    return folder.reach(state, Step.SUBMITTED, flower_run=str(submitted))


def _config(folder: LaunchFolder, state: LaunchState, rounds: int) -> dict[str, Setting]:
    if state.curves:
        check_out(Path(state.curves))
    return {
        **app.SETTINGS,
        app.FOLDER: str(folder.path.resolve()),
        app.NODES: state.consents,
        app.ROUNDS: rounds,
        app.TRAIN_DEADLINE: state.train_deadline,
        app.REVEAL_DEADLINE: state.reveal_deadline,
        app.RELAY: state.relay,
        app.CURVES: state.curves,
    }
