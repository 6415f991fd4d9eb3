"""Checks 9 to 11 and 13: the ledger, what it says about the holder, the copy of it, and the node's partners."""

from __future__ import annotations

import shlex
import socket
import ssl
from urllib.parse import urlsplit

from clients.node.doctor.patient import Finding, Patient, failure, ok, warning
from clients.node.house import (
    CHAIN,
    ledger_at_hand,
    load_ledger,
    load_policy,
    open_transport,
    registered_signers,
)
from clients.node.ledger_access import board_at_hand
from clients.node.logbook import account_of
from clients.node.network import check_address
from fl_core.errors import InputError, SutureError
from fl_core.protocol.setup import transport_key_digest
from ledger.address import LedgerAddress, exposed, open_ledger
from ledger.errors import WrongChain
from ledger.records import Role
from ledger.standing import COPY, SIGNED, read_standing
from suture_fl.unreachable import why

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SOON_S = 14 * 86_400
"""A certificate that ends sooner is worth a warning."""


def is_open(chain: str) -> bool:
    """Tell whether somebody on the way to a chain could change its answers."""
    parts = urlsplit(chain)
    return parts.scheme == "http" and (parts.hostname or "") not in LOOPBACK


def check_ledger(patient: Patient) -> list[Finding]:
    """Check that the ledger answers, on the right chain, with the pinned contract and this version's code."""
    try:
        address = ledger_at_hand(patient.folder)
    except SutureError as error:
        return [failure(f"The ledger: {error.message}", error.fix or "See docs/reference/files.md.")]
    if address is None:
        return [warning("The node follows no ledger yet.", _join(patient))]
    return [*_ask(address), *_doubts(patient, address)]


def _join(patient: Patient) -> str:
    return f"Get the consortium's ledger.toml: {_command(patient, 'join')} ledger.toml"


def _command(patient: Patient, words: str) -> str:
    return f"suture-node {words} {shlex.quote(str(patient.folder))}"


def _ask(address: LedgerAddress) -> list[Finding]:
    """Open the ledger and say where it stands."""
    try:
        opened = open_ledger(address)
    except (SutureError, OSError) as error:
        said, fix = (error.message, error.fix) if isinstance(error, SutureError) else why(error)
        return [failure(f"The ledger: {said}", fix or "Check address and network; ask the consortium.")]
    try:
        head, paused = opened.connection.head(), opened.reader.paused()
    except SutureError as error:
        return [failure(f"The ledger: {error.message}", error.fix or "Try again.")]
    finally:
        opened.close()
    found = [ok(f"Chain {address.chain_id}, contract 0x{address.contract}, block {head.number}.")]
    if paused:
        found.append(warning("The ledger is paused: no round can open.", "Ask the other members."))
    return found


def _doubts(patient: Patient, address: LedgerAddress) -> list[Finding]:
    """Return what is doubtful about the way to a ledger, whether or not it answers."""
    found = []
    if is_open(address.chain):
        found.append(
            warning(
                "The ledger's node is on another machine and without TLS: whoever is between can change what it says.",
                "Give its URL with https, or run a node on this machine.",
            )
        )
    if exposed(patient.folder / "node.toml", address.chain):
        found.append(
            warning(
                "Others can read node.toml, and the URL of the ledger's node in it has a user, a path or a query, which "
                "may be a key.",
                f"chmod 600 {patient.folder / 'node.toml'}",
            )
        )
    if not address.code and address.path is None:
        found.append(
            warning(
                "The contract's code hash is not pinned.",
                f"Copy the line `code` of the consortium's ledger.toml into [ledger] of {patient.folder / 'node.toml'}.",
            )
        )
    return found


def check_member(patient: Patient) -> list[Finding]:
    """Check that the ledger has this holder as a member, with the role of a holder and the keys of this folder."""
    try:
        address = ledger_at_hand(patient.folder)
        if address is None:
            return [warning("Without a ledger there is no membership.", _join(patient))]
        account, opened = account_of(patient.folder), open_ledger(address)
    except (SutureError, OSError):
        return [warning("The ledger or the account cannot be read.", "See the checks of ledger and keys.")]
    try:
        member, keys = opened.reader.member(account), opened.reader.keys(account)
        if not member.since:
            return [
                failure(
                    f"0x{account.hex()} is no member of the ledger.",
                    "Ask the members to vote you in; tell them your account.",
                )
            ]
        if Role.HOLDER not in member.roles:
            return [
                failure(
                    "The account is a member, but no holder.", "Ask the members for the role of a holder."
                )
            ]
        if not keys.epoch:
            mend = _command(patient, "keys register")
            return [failure("No keys are registered for the account.", mend)]
        found, mend = [], f"Replace the registered keys by new ones: {_command(patient, 'keys rotate')}"
        if keys.signer not in registered_signers(patient.folder):
            found.append(failure("The ledger has another signing key than this folder.", mend))
        if keys.encryption != transport_key_digest(open_transport(patient.folder).public):
            found.append(failure("The ledger has another transport key than this folder.", mend))
        return found or [
            ok(f"A member since epoch {member.epoch}, with key set {keys.epoch} of this folder.")
        ]
    except SutureError as error:
        return [failure(f"The ledger: {error.message}", error.fix or "See the check of the ledger.")]
    finally:
        opened.close()


def check_copy(patient: Patient) -> list[Finding]:
    """Check the node's own copy of an embedded chain, and what it was shown."""
    try:
        address, wanted = load_ledger(patient.folder), load_policy(patient.folder).checkpoints
    except SutureError:  # told where it belongs; the copy is not to be blamed for it
        return [warning("The copy was not looked at: node.toml cannot be read.", "See policy and ledger.")]
    if address is None or address.path is None:
        return [ok("The node reads an external chain, or none; there is no copy.")]
    copy = patient.folder / CHAIN / COPY
    try:
        standing = read_standing(
            patient.folder / CHAIN,
            chain_id=address.chain_id,
            contract=bytes.fromhex(address.contract),
            board=board_at_hand(address, patient.folder / CHAIN),
            wanted=wanted,
        )
    except WrongChain as error:
        return [failure(f"The copy of the ledger: {error.message}", f"Mend chain_id in {_config(patient)}.")]
    except (SutureError, OSError) as error:
        said = error.message if isinstance(error, SutureError) else str(error)
        return [
            failure(
                f"The copy of the ledger: {said}",
                f"Stop serve, then: rm {shlex.quote(str(copy))}* (never {SIGNED} beside it), and start it; it makes a new copy.",
            )
        ]
    if standing is None:
        return [ok("The node has no copy of the ledger yet; serve makes one.")]
    if standing.evidence:
        return [
            failure(
                f"Somebody showed this node two histories of the ledger, {standing.evidence} times.",
                f"Stop, and show {patient.folder / CHAIN / 'evidence'} to the other members: {_judge(patient)}",
            )
        ]
    behind = standing.head.number - standing.final
    if standing.final < 0 or behind > 100:
        return [
            warning(
                f"Of the copy's {standing.head.number} blocks, {max(standing.final, 0)} are co-signed by enough members.",
                f"Start {_command(patient, 'serve')}, which catches up; if this stays, ask the members whether their nodes run.",
            )
        ]
    return [ok(f"The copy ends at block {standing.head.number}; {standing.final} is final.")]


def _config(patient: Patient) -> str:
    return str(patient.folder / "node.toml")


def _judge(patient: Patient) -> str:
    """Return the command that checks the newest evidence."""
    files = sorted(
        (patient.folder / CHAIN / "evidence").glob("*.json"), key=lambda path: path.stat().st_mtime
    )
    return f"suture-audit evidence {shlex.quote(str(files[-1])) if files else 'FILE'}"


def check_partners(patient: Patient) -> list[Finding]:
    """Check that SuperLink and relay are named and can be reached, and that their certificates hold."""
    try:
        network = patient.network
    except SutureError as error:
        return [failure(error.message, error.fix)]
    found = []
    if network.superlink:
        found.append(_superlink(patient, network.superlink_url))
    else:
        found.append(_unnamed(patient, "SuperLink", "superlink", "federation.example.org:9092"))
    if network.relay:
        parts = urlsplit(network.relay)
        tls = parts.scheme == "https"
        try:
            port = str(parts.port or (443 if tls else 80))
        except ValueError:
            port = ""
        found.append(_reach(patient, "relay", parts.hostname or "", port, tls=tls))
    else:
        found.append(_unnamed(patient, "relay", "relay", "https://federation.example.org:9443"))
    return found


def _superlink(patient: Patient, url: str) -> Finding:
    try:
        scheme, _, place = check_address(url).partition("://")
    except InputError as error:
        return failure(f"[network] of node.toml: {error.message}", error.fix)
    host, _, port = place.rpartition(":")
    return _reach(patient, "SuperLink", host.strip("[]"), port, tls=scheme != "http")


_EXAMPLES = {
    "SuperLink": 'superlink = "federation.example.org:9092"',
    "relay": 'relay = "https://federation.example.org:9443"',
}


def _unnamed(patient: Patient, what: str, key: str, example: str) -> Finding:
    return warning(
        f"The {what} was not looked at: node.toml names none in [network].",
        f'Ask the coordinator for its address, and write {key} = "{example}" with it into [network] of '
        f"{patient.folder / 'node.toml'}; not needed where serve gets it as --{key}.",
    )


def _reach(patient: Patient, what: str, host: str, port: str, *, tls: bool) -> Finding:
    """Open a connection, and a TLS session in it, and close both."""
    if not host or not port.isdigit():
        return failure(
            f"The address of the {what} is not host:port.",
            f"Write it as {_EXAMPLES[what]} in [network] of {_config(patient)}.",
        )
    place = f"{host}:{port}"
    try:
        context = ssl.create_default_context(cafile=patient.network.ca or None)
    except OSError:
        return failure(
            f"{patient.network.ca} holds no certificates, so the {what} cannot be told from anybody else.",
            "Name the consortium's CA, a PEM file, as ca in [network] of node.toml.",
        )
    try:
        with socket.create_connection((host, int(port)), timeout=patient.timeout_s) as connection:
            if not tls:
                return warning(f"The {what} at {place} answers, without TLS.", "Use TLS but on loopback.")
            with context.wrap_socket(connection, server_hostname=host) as session:
                return _certificate(patient, what, place, session)
    except (OSError, OverflowError) as error:
        words, mend = why(error)
        return failure(f"The {what} at {place} cannot be reached: {words}.", mend)


def _certificate(patient: Patient, what: str, place: str, session: ssl.SSLSocket) -> Finding:
    certificate = session.getpeercert() or {}
    ends = int(ssl.cert_time_to_seconds(str(certificate["notAfter"])))
    days = (ends - patient.now) // 86_400
    if ends - patient.now < SOON_S:
        return warning(
            f"The {what} at {place} answers; its certificate ends in {days} days.", "Tell the coordinator."
        )
    return ok(
        f"The {what} at {place} answers with {session.version()}; its certificate is good for {days} days."
    )
