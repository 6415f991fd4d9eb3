"""Which ledger: where its chain is, and what is pinned about it; and opening it.

A ledger is named by a small file that every member keeps a copy of::

    chain = "embedded:ledger.sqlite"     # or the http(s) URL of a JSON-RPC node; a path is relative to this file
    chain_id = 20260
    contract = "0x..."
    code = "0x..."                       # keccak-256 of the contract's code, as EIP-1052 defines it
    confirmations = 1                    # blocks until something counts; 1 on chains without forks

or by a run's public folder, whose ``run.json`` says the same but for the code. Whoever opens a ledger checks the chain id,
that the code at the address is this version's contract and the pinned one, and that it was created by its own code
(:mod:`ledger.creation`). A URL may hold credentials: messages show its host only, the file is written for its owner only, and
one that others can read is warned of.
"""

from __future__ import annotations

import logging
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from eth_utils.crypto import keccak

from fl_core.errors import DecodeError, InputError
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.chain.http import may_be_secret, shown
from ledger.chain.ports import Reading, Waiting, say_nothing
from ledger.errors import WrongChain
from ledger.files import write_atomically
from ledger.papers import MAX_RUN_PAPER, PublicFolder, RunPaper
from ledger.reader import LedgerReader
from ledger.records import ADDRESS_SIZE, WORD_SIZE
from ledger.toml_file import TomlFile, toml_text

log = logging.getLogger("suture.ledger")

FILE = "ledger.toml"
_PRIVATE, _PUBLIC = 0o600, 0o644
_READ_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH
EMBEDDED = "embedded:"
MAX_CONFIRMATIONS = 1000
_ACCOUNT = re.compile(rf"[0-9a-f]{{{2 * ADDRESS_SIZE}}}")
PATIENCE_S = 1.0
"""How long a person's command waits for a node that is away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAddress:
    """Which ledger a party follows.

    Attributes:
        chain: ``"embedded:PATH"`` or the URL of a JSON-RPC node; may hold credentials.
        chain_id: Its chain id.
        contract: Address of the ledger's contract, hexadecimal without prefix.
        code: keccak-256 of its code, hexadecimal without prefix; empty when it is not pinned.
        confirmations: How many blocks deep something must be to count.
    """

    chain: str = field(repr=False)
    chain_id: int
    contract: str
    code: str = ""
    confirmations: int = 1

    def __post_init__(self) -> None:
        if not self.chain.startswith((EMBEDDED, "http://", "https://")):
            raise ValueError("a chain is embedded:PATH or the http(s) URL of a JSON-RPC node")
        if not 0 < self.chain_id < 2**63:
            raise ValueError("a chain id is a positive number")
        if not 1 <= self.confirmations <= MAX_CONFIRMATIONS:
            raise ValueError(f"confirmations are 1 to {MAX_CONFIRMATIONS}")
        if len(bytes.fromhex(self.contract)) != ADDRESS_SIZE:
            raise ValueError(f"a contract's address has {2 * ADDRESS_SIZE} hexadecimal digits")
        if self.code and len(bytes.fromhex(self.code)) != WORD_SIZE:
            raise ValueError(f"a code hash has {2 * WORD_SIZE} hexadecimal digits")

    @property
    def path(self) -> Path | None:
        """File of the embedded chain, or None when the chain is elsewhere."""
        return Path(self.chain.removeprefix(EMBEDDED)) if self.chain.startswith(EMBEDDED) else None

    @property
    def public(self) -> PublicFolder | None:
        """The public folder around an embedded chain, if there is one."""
        path = self.path
        folder = None if path is None else PublicFolder(path.parent)
        return folder if folder is not None and folder.run.is_file() else None

    def __str__(self) -> str:
        return f"contract 0x{self.contract} on chain {self.chain_id}, {place_of(self)}"


def place_of(address: LedgerAddress) -> str:
    """Return where a ledger's chain is, without what may be secret in it."""
    return address.chain if address.path is not None else shown(address.chain)


def encode_address(address: LedgerAddress, base: Path) -> bytes:
    """Return a ``ledger.toml`` that lies in ``base``; a chain below ``base`` gets a relative path."""
    chain, path = address.chain, address.path
    if path is not None and path.resolve().is_relative_to(base.resolve()):
        chain = f"{EMBEDDED}{path.resolve().relative_to(base.resolve())}"
    lines = [
        "# Which ledger this is. Every member keeps a copy; compare contract and code hash over the phone.",
        f"chain = {toml_text(chain)}",
        f"chain_id = {address.chain_id}",
        f'contract = "0x{address.contract}"',
        f'code = "0x{address.code}"',
        f"confirmations = {address.confirmations}",
    ]
    return ("\n".join(lines) + "\n").encode()


def write_address(path: Path, address: LedgerAddress) -> None:
    """Write a ``ledger.toml``; only its owner can read one whose URL may hold credentials."""
    private = address.path is None and may_be_secret(address.chain)
    write_atomically(path, encode_address(address, path.parent), _PRIVATE if private else _PUBLIC)


def exposed(path: Path, chain: str) -> bool:
    """Tell whether others can read a file whose ``chain`` is a URL that may hold credentials."""
    if chain.startswith(EMBEDDED) or not may_be_secret(chain):
        return False
    return bool(path.stat().st_mode & _READ_BY_OTHERS)


@cache  # a command reads its ledger's file several times
def _warn_of(path: Path) -> None:
    log.warning(
        "Others can read %s, and the URL in it has a user, a path or a query, which may be a key. Run: chmod 600 %s",
        path,
        path,
    )


def find_ledger(place: Path) -> LedgerAddress:
    """Return the ledger that a file or folder names: a ``ledger.toml``, a public folder, or a folder with one of them.

    Raises:
        InputError: It names none; says what is wrong, with the line.
    """
    if not place.exists():
        raise InputError(
            f"There is no ledger file {place}.", fix="Name a ledger.toml or a run's public folder."
        )
    if place.is_file() and place.suffix == ".toml":
        return _from_toml(place)
    folder = place if place.is_dir() else place.parent
    for inner in (folder, folder / "public"):
        if (inner / FILE).is_file():
            return _from_toml(inner / FILE)
        if (inner / "run.json").is_file():
            return _from_run(PublicFolder(inner))
    raise InputError(
        f"{place} names no ledger.", fix=f"Name a {FILE}, or a folder with one or with a run.json in it."
    )


def _from_toml(path: Path) -> LedgerAddress:
    file = TomlFile(path)
    chain, chain_id = file.take("chain", str), file.take("chain_id", int)
    contract, code = file.take("contract", str), file.take("code", str, "")
    confirmations = file.take("confirmations", int, 1)
    contract, code = contract.lower().removeprefix("0x"), code.lower().removeprefix("0x")
    values = {"chain": chain, "chain_id": chain_id, "contract": contract, "code": code, "confirmations": confirmations}  # fmt: skip
    good: dict[str, str | int] = {"chain": "http://h", "chain_id": 1, "contract": "00" * 20, "code": "", "confirmations": 1}  # fmt: skip
    for key, value in values.items():
        try:
            LedgerAddress(**(good | {key: value}))  # type: ignore[arg-type]  # each has the type that take() checked
        except ValueError as error:
            raise file.wrong(key, str(error), "Mend that line.") from error
    file.end()
    if exposed(path, chain):
        _warn_of(path.resolve())
    if chain.startswith(EMBEDDED):
        chain = f"{EMBEDDED}{path.parent.resolve() / chain.removeprefix(EMBEDDED)}"
    return LedgerAddress(
        chain=chain, chain_id=chain_id, contract=contract, code=code, confirmations=confirmations
    )


def _from_run(public: PublicFolder) -> LedgerAddress:
    paper = run_paper(public)
    if not public.chain.is_file():
        raise InputError(
            f"{public.path} holds no chain.", fix="Name the ledger.toml of the chain it is about."
        )
    try:
        return LedgerAddress(
            chain=f"{EMBEDDED}{public.chain.resolve()}", chain_id=paper.chain_id, contract=paper.contract
        )
    except ValueError as error:
        raise InputError(f"{public.run} names no ledger ({error}).", fix="Name a ledger.toml.") from error


def run_paper(public: PublicFolder) -> RunPaper:
    """Read the paper of a public folder.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with public.run.open("rb") as file:
            return RunPaper.decode(file.read(MAX_RUN_PAPER + 1))
    except (OSError, DecodeError) as error:
        raise InputError(f"{public.run} cannot be read ({error}).", fix="Name a ledger.toml.") from error


def names_around(address: LedgerAddress) -> Mapping[bytes, str]:
    """Return the names that a public folder around an embedded chain gives its accounts; nothing checks them.

    A name of what is no account is nobody's.
    """
    public = address.public
    if public is None:
        return {}
    named = run_paper(public).names.items()
    return {bytes.fromhex(account): name for account, name in named if _ACCOUNT.fullmatch(account)}


@dataclass(frozen=True, kw_only=True)
class OpenLedger:
    """An open ledger.

    Attributes:
        address: Which one.
        connection: Its chain.
        reader: Reads it.
        close: Lets go of it.
    """

    address: LedgerAddress
    connection: Web3Connection
    reader: LedgerReader
    close: Callable[[], None]


def open_chain(
    chain: str,
    chain_id: int,
    *,
    write: bool,
    patience_s: float = PATIENCE_S,
    waiting: Waiting = say_nothing,
) -> tuple[Web3Connection, Callable[[], None]]:
    """Open a chain by ``"embedded:PATH"`` or URL; an embedded one must exist.

    Args:
        chain: Where it is.
        chain_id: Its id.
        write: Whether an embedded chain is opened for writing.
        patience_s: For how long a node that is away is waited for, in seconds.
        waiting: Told when that takes long.

    Raises:
        InputError: There is no such file.
        LedgerError: It is another chain, busy, damaged or does not answer.
    """
    if not chain.startswith(EMBEDDED):
        return Web3Connection(chain, chain_id=chain_id, patience_s=patience_s, waiting=waiting), _nothing
    path = Path(chain.removeprefix(EMBEDDED))
    if not path.is_file():
        raise InputError(f"There is no chain {path}.", fix="Mend the path in the ledger's file.")
    opened = open_embedded(path, chain_id=chain_id, read_only=not write)
    return Web3Connection(opened), opened.close


def open_ledger(address: LedgerAddress, *, write: bool = False) -> OpenLedger:
    """Open a ledger and check that it is the pinned one; see the module docstring.

    Args:
        address: Which one.
        write: Whether an embedded chain is opened for writing; a JSON-RPC node takes writes always.

    Raises:
        InputError: There is no such file.
        LedgerError: It is another chain or contract, busy, damaged or does not answer.
    """
    connection, close = open_chain(address.chain, address.chain_id, write=write)
    try:
        reader = LedgerReader(
            connection, bytes.fromhex(address.contract), confirmations=address.confirmations
        )
        check_pinned(address, reader, connection)
    except BaseException:
        close()
        raise
    return OpenLedger(address=address, connection=connection, reader=reader, close=close)


def check_pinned(address: LedgerAddress, reader: LedgerReader, connection: Reading) -> None:
    """Check that a ledger is the pinned one.

    1. Its code has the pinned hash.
    2. It is this version's contract, set up for this chain and address.
    3. It was created by its own code.

    Raises:
        WrongChain: It is not.
    """
    code = connection.code(bytes.fromhex(address.contract))
    if not code:
        raise WrongChain(
            f"There is no contract at 0x{address.contract} on the chain that {place_of(address)} has.",
            fix="Wait until the node has caught up, or name another one: this one may serve a new chain under the old id.",
        )
    found = keccak(code)
    if address.code and found.hex() != address.code:  # (1)
        raise WrongChain(
            f"The code at 0x{address.contract} has the hash 0x{found.hex()}, pinned is 0x{address.code}.",
            fix="Ask the consortium for its ledger.toml; do not use this node until they agree.",
        )
    reader.check_code()  # (2)
    reader.check_creation()  # (3)


def code_hash(connection: Reading, contract: bytes) -> bytes:
    """Return keccak-256 of the code at an address (EIP-1052)."""
    return keccak(connection.code(contract))


def _nothing() -> None:
    """There is nothing to let go of."""
