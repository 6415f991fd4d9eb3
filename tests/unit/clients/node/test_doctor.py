"""The doctor: a healthy node passes, every ailment is found by its check, and looking changes nothing.

Longer than other files: all ailments are of one healthy node, and each takes a few lines.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from clients.cli import cli
from clients.node.doctor import machine_checks
from clients.node.doctor.partner_checks import is_open
from clients.node.doctor.patient import Grade, Machine, Patient
from clients.node.doctor.table import CHECKS, chosen, examine, worst
from clients.node.logbook import FILE, Logbook, account_of
from clients.node.new_house import create_house
from clients.node.policy import Policy
from fl_core.errors import InputError
from fl_core.randomness import SystemRandomSource
from ledger.address import LedgerAddress
from ledger.logbook import Kind
from ledger.records import Head
from suture_fl.unreachable import why
from tests.architecture.sources import ROOT
from tests.simulators.records import own_records

NOW = 1_800_000_000
DATED = f"HTTP/1.1 405 No\r\nDate: {formatdate(NOW, usegmt=True)}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    house = tmp_path / "node"
    policy = Policy(tasks=("heart-disease",))
    create_house(house, "A", own_records(), policy, random=SystemRandomSource(), scrypt_cost=2)
    return house


def look(folder: Path, name: str, *, now: int = NOW, **machine: object) -> list[tuple[Grade, str]]:
    patient = Patient(folder=folder, now=now, machine=replace(Machine(), **machine), timeout_s=15)
    return [
        (finding.grade, f"{finding.found} {finding.mend}") for _, finding in examine(patient, chosen(name))
    ]


def the_one(findings: list[tuple[Grade, str]], grade: Grade, text: str) -> None:
    assert any(found is grade and text in said for found, said in findings), findings


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_fresh_node_fails_nothing_and_looking_changes_nothing(folder):
    before = everything(folder)
    patient = Patient(folder=folder, now=NOW, machine=Machine(free=lambda path: 1 << 40))
    findings = examine(patient, CHECKS)
    assert worst(findings) is not Grade.FAILURE, findings
    assert {check.number for check, _ in findings} == set(range(1, 15))
    assert all(finding.mend for _, finding in findings if finding.grade is not Grade.OK)
    assert everything(folder) == before


def missing(name: str) -> str:
    raise importlib.metadata.PackageNotFoundError(name)


def test_versions_out_of_range_and_missing_ones_are_named(folder):
    the_one(look(folder, "versions"), Grade.OK, "all requirements are met")
    the_one(look(folder, "versions", python=(3, 10)), Grade.FAILURE, "Python 3.10")
    the_one(
        look(folder, "versions", version=lambda name: "0.0.1"),
        Grade.FAILURE,
        "flwr 0.0.1 is installed, needed",
    )
    the_one(look(folder, "versions", version=missing), Grade.FAILURE, "flwr is not installed. pip install")


def test_another_distribution_with_our_names_is_found(folder):
    the_one(look(folder, "names", packages=lambda: {"clients": ["suture-fl"]}), Grade.OK, "No other")
    clash = {"clients": ["suture-fl", "other-clients"]}
    the_one(look(folder, "names", packages=lambda: clash), Grade.FAILURE, "brought by other-clients")


@pytest.mark.parametrize(
    ("free", "grade"), [(1 << 20, Grade.FAILURE), (1 << 30, Grade.WARNING), (1 << 40, Grade.OK)]
)
def test_room_on_the_disk_is_judged(folder, free, grade):
    the_one(look(folder, "disk", free=lambda path: free), grade, "MiB are free")


def test_a_machine_that_keeps_no_compiled_code_is_warned_of_slow_starts(folder):
    assert len(look(folder, "disk")) == 1  # here it is kept
    the_one(look(folder, "disk", compiled_code=lambda: None), Grade.WARNING, "starts several seconds later")


def test_a_folder_that_others_can_reach_or_that_is_anothers_is_a_failure(folder):
    the_one(look(folder, "folder"), Grade.OK, "Only its owner")
    folder.chmod(0o750)
    the_one(look(folder, "folder"), Grade.FAILURE, "Others can reach")
    folder.chmod(0o711)  # others pass, as for a glue that is another user
    (folder / "data").chmod(0o750)
    for path in (folder / "keys", folder / "node.toml"):
        path.chmod(path.stat().st_mode & 0o700)
    the_one(look(folder, "folder"), Grade.OK, "Only its owner")
    (folder / "keys").chmod(0o711)
    the_one(look(folder, "folder"), Grade.FAILURE, "Others can reach")
    (folder / "keys").chmod(0o700)
    folder.chmod(0o700)
    the_one(look(folder, "folder", user=lambda: 12345), Grade.FAILURE, "the node runs as 12345")


def test_what_is_no_nodes_folder_is_one_finding_and_not_ten(folder, tmp_path):
    empty = tmp_path / "empty"
    for place, reason in ((folder / "nothing", "it does not exist"), (tmp_path, "it has no node.toml")):
        findings = examine(Patient(folder=place, now=NOW), CHECKS)
        (bad,) = (finding for _, finding in findings if finding.grade is Grade.FAILURE)
        assert f"{place} is no node's folder: {reason}" in bad.found
        assert f"suture-node init {place}" in bad.mend
    shown = CliRunner().invoke(cli, ["doctor", str(empty), "--only", "ledger"])
    assert shown.exit_code == 1 and "is no node's folder" in shown.output


def test_a_folder_that_is_closed_to_this_user_is_told_as_that(folder, monkeypatch):
    def closed(path: Path, *, follow_symlinks: bool = True) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", closed)  # as for any other user; the tests may run as root
    the_one(look(folder, "ledger"), Grade.FAILURE, "is closed to this user")


def test_keys_that_do_not_open_are_a_failure(folder):
    the_one(look(folder, "keys"), Grade.OK, account_of(folder).hex())
    (folder / "keys" / "passphrase").write_bytes(b"wrong")
    the_one(look(folder, "keys"), Grade.FAILURE, "does not open")


def test_a_passphrase_that_others_can_read_is_a_failure_as_it_is_where_commands_send(folder):
    passphrase = folder / "keys" / "passphrase"
    passphrase.chmod(0o640)
    the_one(
        look(folder, "keys"),
        Grade.FAILURE,
        f"Others can read the passphrase file {passphrase}. chmod 600 {passphrase}",
    )
    passphrase.chmod(0o600)
    the_one(look(folder, "keys"), Grade.OK, "The keys open")


def test_a_node_toml_that_cannot_be_read_is_not_blamed_on_the_copy_of_the_ledger(folder):
    config = folder / "node.toml"
    config.write_text(config.read_text().replace("max_rounds =", "max_round ="))
    the_one(look(folder, "policy"), Grade.FAILURE, "max_rounds")
    ((grade, said),) = look(folder, "copy")
    assert grade is Grade.WARNING and "was not looked at" in said and "rm " not in said


def test_data_that_is_missing_or_chosen_but_not_there_is_a_failure(folder):
    the_one(look(folder, "data"), Grade.OK, "303 records; the task can read them")
    config = folder / "node.toml"
    text = config.read_text()
    config.write_text(text.replace("data = []", 'data = { "heart-disease" = "other" }'))
    add = f"suture-node data add {folder} {{}} --records FILE.csv --task heart-disease"
    ((_, said),) = look(folder, "data")
    assert said.endswith(f"'other', which is not here. {add.format('other')}")
    config.write_text(text.replace("data = []", 'data = { "lungs" = "scans", "heart-disease" = "Other" }'))
    ((_, said),) = look(folder, "data")  # a name that no data set can have
    rule = 'data = { "lungs" = "scans", "heart-disease" = "records-2" }'
    assert f"{add.format('records-2')}; then {config} needs in [policy]" in said and said.endswith(rule)
    config.write_text(text)
    (folder / "keys" / "data-salt").unlink()
    the_one(look(folder, "data"), Grade.FAILURE, "data-salt cannot be read")


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        pytest.param(b",chol,", b",cholesterol,", "columns once: chol", id="column"),
        pytest.param(b",63,1,", b",Jane Doe,1,", "records.csv, line 2: column 'age' does not hold a number", id="cell"),
        pytest.param(b"Cleveland,63,", b"Jane Doe,63,", "holds 2 different names, and none of them is 'A'", id="two hospitals"),
        pytest.param(b"\n", b"\n\xff", "records.csv, line 2: this is not UTF-8", id="encoding"),
    ],
)  # fmt: skip
def test_data_that_the_task_cannot_train_on_is_a_failure_by_file_line_and_column(
    folder, before, after, problem
):
    path = folder / "data" / "records.csv"
    path.write_bytes(path.read_bytes().replace(before, after, 1))
    ((grade, said),) = look(folder, "data")
    assert grade is Grade.FAILURE and problem in said and "suture-node data add" in said
    assert str(path) in said and "Jane" not in said


def test_data_of_a_task_that_is_not_installed_is_a_warning(folder):
    config = folder / "node.toml"
    config.write_text(config.read_text().replace('"heart-disease"', '"lungs"'))
    the_one(look(folder, "data"), Grade.WARNING, "not installed here")


def test_a_policy_with_a_spelling_mistake_an_end_or_a_doubt_is_told(folder):
    the_one(look(folder, "policy"), Grade.OK, "sound")
    config = folder / "node.toml"
    text = config.read_text()
    config.write_text(text.replace("expires = 0", "expires = 1800000000"))
    the_one(look(folder, "policy"), Grade.FAILURE, "has expired")
    config.write_text(text.replace("allow_plaintext = false", "allow_plaintext = true"))
    the_one(look(folder, "policy"), Grade.WARNING, "without encryption")
    config.write_text(text + "least = 2\n")
    the_one(look(folder, "policy"), Grade.FAILURE, "Did you mean 'least_partners'?")


@pytest.mark.parametrize(
    ("chain", "bad"),
    [
        ("http://127.0.0.1:8545", False),
        ("http://[::1]:8545", False),
        ("https://user:word@node.example.org", False),
        ("embedded:/srv/ledger.sqlite", False),
        ("http://user:word@node.example.org:8545", True),
        ("http://127.0.0.1.example.org", True),
    ],
)
def test_a_node_whose_answers_somebody_on_the_way_could_change_is_seen(chain, bad):
    assert is_open(chain) is bad


def test_a_node_without_a_ledger_is_warned_and_a_ledger_that_is_not_there_is_a_failure(folder):
    for name in ("ledger", "member"):
        the_one(look(folder, name), Grade.WARNING, "suture-node join")
    section = f'\n[ledger]\nchain = "embedded:{folder}/none.sqlite"\nchain_id = 5\ncontract = "{"11" * 20}"\n'
    with (folder / "node.toml").open("a") as file:
        file.write(section)
    the_one(look(folder, "ledger"), Grade.FAILURE, "no chain")
    the_one(look(folder, "clock"), Grade.WARNING, "does not tell its newest block")


def in_a_row(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


@pytest.mark.parametrize(
    ("chain", "blocks", "grade", "said"),
    [
        pytest.param("embedded:c", [-90, *in_a_row(-20, 3600)], Grade.OK, "dated 3600 s ahead", id="many blocks in a row"),
        pytest.param("embedded:c", [-90, -7], Grade.OK, "newest block is 7 s old", id="nothing"),
        pytest.param("embedded:c", [-90, 0, *in_a_row(2, 90)], Grade.OK, "dated 90 s ahead", id="clocks that are the same"),
        pytest.param("embedded:c", [-90, *in_a_row(20, 90)], Grade.WARNING, "made 20 s in the future", id="embedded, a little"),
        pytest.param("embedded:c", [-90, *in_a_row(61, 99)], Grade.FAILURE, "behind: a block of the ledger was made 61 s in", id="embedded, a lot"),
        pytest.param("embedded:c", [-90, 61, 63], Grade.FAILURE, "made 63 s in", id="embedded, two seconds tell"),
        pytest.param("embedded:c", [-90, 200, 201, 300, 301], Grade.FAILURE, "made 300 s in", id="embedded, the newest that tells"),
        pytest.param("embedded:c", in_a_row(86_400, 86_410), Grade.FAILURE, "made 86400 s in", id="embedded, since block 0"),
        pytest.param("https://node", in_a_row(-90, 20), Grade.WARNING, "made 20 s in the future", id="a node, a little"),
        pytest.param("https://node", in_a_row(-90, 61), Grade.FAILURE, "made 61 s in the future", id="a node, a lot"),
    ],
)  # fmt: skip
def test_a_clock_behind_the_ledgers_is_found_and_none_is_blamed_for_blocks_in_a_row(
    folder, monkeypatch, chain, blocks, grade, said
):
    newest = Head(number=len(blocks) - 1, hash=bytes(32), timestamp=NOW + blocks[-1])
    connection = SimpleNamespace(head=lambda: newest, block_time=lambda number: NOW + blocks[number])
    opened = SimpleNamespace(connection=connection, close=lambda: None)
    monkeypatch.setattr(machine_checks, "open_ledger", lambda ledger: opened)
    address = LedgerAddress(chain=chain, chain_id=5, contract="11" * 20)
    monkeypatch.setattr(machine_checks, "ledger_at_hand", lambda folder: address)
    ((found, text),) = look(folder, "clock")
    assert found is grade and said in text


@pytest.mark.network
def test_a_node_toml_with_a_key_in_its_url_that_others_can_read_is_a_warning_and_nothing_shows_the_key(
    folder,
):
    config = folder / "node.toml"
    section = f'\n[ledger]\nchain = "https://u:hunter2@127.0.0.1:1/v3/key7"\nchain_id = 5\ncontract = "{"11" * 20}"\n'
    config.write_text(config.read_text() + section)
    assert Grade.WARNING not in [grade for grade, said in look(folder, "ledger") if "may be a key" in said]
    config.chmod(0o640)
    found = look(folder, "ledger")
    the_one(found, Grade.FAILURE, "https://127.0.0.1:1 did not answer")
    the_one(found, Grade.WARNING, "may be a key")
    shown = CliRunner().invoke(cli, ["status", str(folder)])
    assert "https://127.0.0.1:1 (0x1111" in shown.output
    said = f"{found} {shown.output} {shown.exception} {CliRunner().invoke(cli, ['doctor', str(folder), '--json']).output}"
    assert "hunter2" not in said and "key7" not in said


def test_a_logbook_that_was_altered_or_says_more_than_the_register_is_a_failure(folder):
    logbook = Logbook(folder, account_of(folder), clock=lambda: NOW)
    the_one(look(folder, "register"), Grade.OK, "0 entries")
    logbook.append(Kind.REVEAL, b"x", to="ab" * 20, run=bytes(32), number=3)
    logbook.close()
    the_one(look(folder, "register"), Grade.FAILURE, "rolled back: entry 1")
    path = folder / FILE
    path.write_bytes(path.read_bytes() * 2)
    the_one(look(folder, "register"), Grade.FAILURE, "does not follow")
    path.write_bytes(b"")
    the_one(look(folder, "register"), Grade.OK, "whole")


def test_an_unpinned_contract_is_pinned_by_a_line_since_a_second_join_is_refused(folder):
    config = folder / "node.toml"
    section = f'\n[ledger]\nchain = "https://127.0.0.1:1"\nchain_id = 5\ncontract = "{"11" * 20}"\n'
    config.write_text(config.read_text() + section)
    the_one(
        look(folder, "ledger"),
        Grade.WARNING,
        f"line `code` of the consortium's ledger.toml into [ledger] of {config}",
    )
    config.write_text(config.read_text() + f'code = "{"22" * 32}"\n')
    assert "not pinned" not in str(look(folder, "ledger"))


def test_a_line_that_a_crash_cut_off_is_a_warning_and_hides_nothing_else(folder):
    logbook = Logbook(folder, account_of(folder), clock=lambda: NOW)
    for _ in range(3):
        logbook.append(Kind.TRANSACTION, b"x", to="ledger")
    logbook.close()
    path = folder / FILE
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"anchor":0,"digest"')
    (only,) = look(folder, "register")
    the_one([only], Grade.WARNING, "last 20 bytes are no whole line, as a crash leaves them")
    path.write_bytes(whole.replace(b'"n":2', b'"n":7').removesuffix(b"\n"))
    (only,) = look(folder, "register")
    the_one([only], Grade.FAILURE, "line 2 of the logbook does not follow")
    logbook = Logbook(folder.parent / "other", account_of(folder), clock=lambda: NOW)
    logbook.append(Kind.REVEAL, b"x", to="ab" * 20, run=bytes(32), number=3)
    logbook.close()
    path.write_bytes((folder.parent / "other" / FILE).read_bytes() + b"{")
    found = look(folder, "register")
    the_one(found, Grade.FAILURE, "rolled back: entry 1")
    the_one(found, Grade.WARNING, "last 1 bytes")
    path.write_bytes((folder.parent / "other" / FILE).read_bytes() + b"x\n")
    found = look(folder, "register")
    the_one(found, Grade.FAILURE, "rolled back: entry 1")
    the_one(found, Grade.FAILURE, "line 2 of the logbook was altered")


def test_what_a_crash_left_is_listed(folder):
    the_one(look(folder, "leftovers"), Grade.OK, "Nothing")
    (folder / ".node.toml.x").write_bytes(b"")
    (folder / "data" / "half").mkdir()
    found = look(folder, "leftovers")
    the_one(found, Grade.WARNING, "left by a program that was killed")
    the_one(found, Grade.WARNING, "never finished")


# ---------------------------------------------------------------------- partners


def certificate(folder: Path, *, days: int, name: str = "localhost") -> Path:
    """Write key and self-signed certificate of a server into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


class Server:
    """Accepts connections on loopback, with TLS if it has a certificate; says one answer to whoever asks in it."""

    def __init__(self, pem: Path | None, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._context = None
        if pem is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pem)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    if self._context is None:
                        connection.recv(65_536)  # what is not read would make the end a reset
                    else:
                        with self._context.wrap_socket(connection, server_side=True) as session:
                            if self._answer and session.recv(4096):
                                session.sendall(self._answer)
                except (ssl.SSLError, OSError):
                    continue

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[object]:
    servers: list[Server] = []

    def start(pem: Path | None, answer: bytes = b"") -> int:
        servers.append(Server(pem, answer))
        return servers[-1].port

    yield start
    for server in servers:
        server.close()


def partners(folder: Path, lines: str) -> list[tuple[Grade, str]]:
    text = (folder / "node.toml").read_text().split("\n[network]")[0]
    (folder / "node.toml").write_text(f"{text}\n[network]\n{lines}\n")
    import time

    return look(folder, "partners", now=int(time.time()))


@pytest.mark.network
def test_a_superlink_with_a_good_certificate_is_fine_and_one_that_ends_soon_is_a_warning(
    folder, tmp_path, serve
):
    for days, grade in ((90, Grade.OK), (3, Grade.WARNING)):
        pem = certificate(tmp_path, days=days)
        found = partners(folder, f'superlink = "localhost:{serve(pem)}"\nca = "{pem}"')
        the_one(found, grade, f"{days} days")


@pytest.mark.network
@pytest.mark.parametrize(
    ("days", "name", "with_ca", "reason", "mend"),
    [
        (-2, "localhost", True, "expired", "Ask whoever runs it for a new certificate"),
        (90, "other.example", True, "mismatch", "Use the name that the certificate is for"),
        (90, "localhost", False, "self", "ca in [network] of node.toml"),
    ],
)
def test_a_certificate_that_is_over_anothers_or_unknown_is_refused(folder, tmp_path, serve, days, name, with_ca, reason, mend):  # fmt: skip
    pem = certificate(tmp_path, days=days, name=name)
    ca = f'ca = "{pem}"' if with_ca else ""
    found = partners(folder, f'relay = "https://localhost:{serve(pem)}"\n{ca}')
    the_one(found, Grade.FAILURE, "is refused")
    (_, said) = next(one for one in found if one[0] is Grade.FAILURE)
    assert reason in said and mend in said


@pytest.mark.network
def test_the_clock_is_compared_with_a_relay_that_only_the_consortiums_authority_vouches_for(
    folder, tmp_path, serve
):
    pem = certificate(tmp_path, days=90)
    url = f'relay = "https://localhost:{serve(pem, answer=DATED)}"'
    partners(folder, f'{url}\nca = "{pem}"')
    the_one(look(folder, "clock"), Grade.OK, "differ by 0 s")
    assert len(look(folder, "clock", now=NOW + 3600)) == 1
    the_one(look(folder, "clock", now=NOW + 3600), Grade.FAILURE, "differ by 3600 s")
    partners(folder, url)
    the_one(look(folder, "clock"), Grade.WARNING, "its certificate is refused")
    partners(folder, f'{url}\nca = "none.pem"')
    the_one(look(folder, "clock"), Grade.WARNING, "there is no CA")


@pytest.mark.network
def test_a_wrong_port_a_wrong_name_and_a_wrong_file_are_told_in_words_without_codes(folder, tmp_path, serve):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    config = folder / "node.toml"
    config.write_text(
        f'{config.read_text()}\n[ledger]\nchain = "https://127.0.0.1:{free}"\nchain_id = 5\ncontract = "{"11" * 20}"\n'
    )
    plain = serve(None)
    for lines, found, mend in (
        (f'relay = "https://127.0.0.1:{free}"', "nothing listens there", "that it runs"),
        (f'relay = "https://localhost:{plain}"', "speaks no TLS that fits", "Check the port"),
        ('relay = "https://relay.invalid:9"', "its name is not known here", "DNS"),
        (f'superlink = "localhost:{plain}"\nca = "none.pem"', "holds no certificates", "PEM"),
    ):
        (grade, said) = min(partners(folder, lines), key=lambda one: "was not looked at" in one[1])
        assert grade is Grade.FAILURE and found in said and mend in said
        assert "Errno" not in said and "_ssl.c" not in said
    (*_, (grade, said)) = [one for one in look(folder, "ledger") if one[0] is Grade.FAILURE]
    assert "nothing listens there" in said and said.count("that it runs") == 1
    assert "Errno" not in " ".join(said for _, said in look(folder, "clock"))


def test_a_connection_that_is_reset_is_told_in_words():
    words, mend = why(ConnectionResetError(104, "Connection reset by peer"))
    assert words == "what answers there ends the connection at once" and "Check the port" in mend


@pytest.mark.network
def test_a_partner_without_tls_is_a_warning_and_one_that_is_not_there_a_failure(folder, serve):
    port = serve(None)
    the_one(
        partners(folder, f'superlink = "127.0.0.1:{port}"\ninsecure = true'), Grade.WARNING, "without TLS"
    )
    with socket.create_server(("127.0.0.1", 0)) as closed:
        free = closed.getsockname()[1]
    the_one(partners(folder, f'superlink = "127.0.0.1:{free}"'), Grade.FAILURE, "cannot be reached")
    the_one(partners(folder, 'superlink = "nonsense"'), Grade.FAILURE, "is not host:port")
    for nonsense in ("ftp://127.0.0.1:1", "https://[h"):  # serve and gateway take it no better
        the_one(partners(folder, f'superlink = "{nonsense}"'), Grade.FAILURE, "no address of a SuperLink")
    the_one(partners(folder, "port = 3"), Grade.FAILURE, "[network]")


@pytest.mark.network
def test_a_partner_that_is_not_named_is_a_warning_with_the_line_to_write(folder, tmp_path, serve):
    the_two = [grade for grade, said in look(folder, "partners") if "was not looked at" in said]
    assert the_two == [Grade.WARNING, Grade.WARNING]
    pem = certificate(tmp_path, days=90)
    config = folder / "node.toml"
    for key, what, url, missing in (
        ("relay", "relay", "https://localhost", "SuperLink"),
        ("superlink", "SuperLink", "localhost", "relay"),
    ):
        found = partners(folder, f'{key} = "{url}:{serve(pem)}"\nca = "{pem}"')
        the_one(found, Grade.OK, f"The {what} at localhost")
        the_one(found, Grade.WARNING, f"The {missing} was not looked at")
        the_one(found, Grade.WARNING, f'{missing.lower()} = "')
        the_one(found, Grade.WARNING, f"into [network] of {config}")
        assert len(found) == 2


# ---------------------------------------------------------------------- the command


def test_the_command_says_what_is_wrong_by_text_json_and_exit_code(folder):
    runner = CliRunner()
    good = runner.invoke(cli, ["doctor", str(folder), "--only", "keys,5", "--json"])
    said = json.loads(good.output)
    assert (good.exit_code, said["healthy"], [row["number"] for row in said["findings"]]) == (0, True, [5, 6])
    (folder / "keys" / "passphrase").write_bytes(b"wrong")
    bad = runner.invoke(cli, ["doctor", str(folder), "--only", "keys"])
    assert bad.exit_code == 1
    assert "failure" in bad.output and "mend:" in bad.output and "\x1b" not in bad.output
    unknown = runner.invoke(cli, ["doctor", str(folder), "--only", "soul"])
    assert isinstance(unknown.exception, InputError) and "14 leftovers" in unknown.exception.fix


def test_the_reference_lists_the_checks():
    text = (ROOT / "docs" / "reference" / "doctor.md").read_text("utf-8")
    for check in CHECKS:
        assert f"| {check.number} | {check.name} |" in text


@pytest.mark.network
def test_a_relay_that_does_not_speak_http_tells_no_time(folder, tmp_path, serve):
    pem = certificate(tmp_path, days=90)
    port = serve(pem, b"SSH-2.0-OpenSSH\r\n\r\n")
    partners(folder, f'relay = "https://localhost:{port}"\nca = "{pem}"')
    the_one(look(folder, "clock"), Grade.WARNING, "does not tell the time")
