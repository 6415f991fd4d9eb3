"""The options of ``suture-audit light``, from text to pins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import typer

from fl_core.codec import read_json
from fl_core.errors import DecodeError, InputError
from ledger.address import find_ledger
from ledger.checkpoints import CHECKPOINT_SIZE, MAX_CHECKPOINTS, SignedCheckpoint
from ledger.light.qbft import ExtraData
from ledger.light.succession import EPOCH_BLOCKS
from ledger.light.verify import Pins
from ledger.records import ADDRESS_SIZE, WORD_SIZE

MAX_GENESIS_BYTES = 1 << 22
_MAX_CHECKPOINT_FILE = MAX_CHECKPOINTS * (2 * CHECKPOINT_SIZE + 3)
_SEEN = re.compile(r"(\d{1,15}):(0x[0-9a-fA-F]{64})")


def hexadecimal(text: str, size: int, option: str) -> bytes:
    """Return the bytes that an option names.

    Raises:
        typer.BadParameter: They are not so many hexadecimal digits.
    """
    if not re.fullmatch(rf"(0x)?[0-9a-fA-F]{{{2 * size}}}", text):
        raise typer.BadParameter(f"{option} is 0x and {2 * size} hexadecimal digits, not {text!r}.")
    return bytes.fromhex(text.removeprefix("0x"))


def addresses(texts: Iterable[str], option: str) -> frozenset[bytes]:
    """Return addresses from options that may each hold several, separated by commas."""
    parts = [part.strip() for text in texts for part in text.split(",")]
    return frozenset(hexadecimal(part, ADDRESS_SIZE, option) for part in parts)


def seen_block(text: str) -> tuple[int, bytes]:
    """Return height and hash of ``HEIGHT:0xHASH``."""
    found = _SEEN.fullmatch(text)
    if not found:
        raise typer.BadParameter(
            f"--seen is a height, a colon and a block hash, as in 120:0x5f…, not {text!r}."
        )
    return int(found[1]), bytes.fromhex(found[2][2:])


def read_checkpoints(path: Path) -> tuple[SignedCheckpoint, ...]:
    """Read checkpoints from a file: each in hexadecimal on a line of its own; lines that begin with # are comments.

    Raises:
        InputError: The file cannot be read, or a line is no checkpoint.
    """
    text = _read(path, _MAX_CHECKPOINT_FILE).decode("ascii", "replace")
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            found.append(SignedCheckpoint.decode(bytes.fromhex(line.strip().removeprefix("0x"))))
        except (ValueError, DecodeError) as error:
            raise InputError(
                f"Line {number} of {path} is no checkpoint.",
                fix="Each line is one checkpoint in hexadecimal.",
            ) from error
    return tuple(found)


def pin_validators(pins: Pins, typed: Iterable[str], genesis: Path | None, epoch_length: int | None) -> Pins:
    """Add the validators of a QBFT chain that the auditor believes in.

    Args:
        pins: What is pinned so far.
        typed: Addresses from ``--validators``.
        genesis: The network's genesis file, which names them and the length of an epoch.
        epoch_length: Of ``--epoch-length``; it goes before the one in the file.

    Raises:
        typer.BadParameter: An address is none.
        InputError: The file is not that of such a network.
    """
    known, length = addresses(typed, "--validators"), EPOCH_BLOCKS
    if genesis is not None:
        named, length = genesis_validators(genesis)
        known |= named
    return replace(pins, validators=known, epoch_length=epoch_length or length)


def genesis_validators(path: Path) -> tuple[frozenset[bytes], int]:
    """Return the validators that a QBFT genesis file names, and the blocks of an epoch.

    Raises:
        InputError: It is no such file, or validators of its network are not in headers.
    """
    try:
        document = read_json(_read(path, MAX_GENESIS_BYTES), limit=MAX_GENESIS_BYTES, what="a genesis file")
        if not isinstance(document, dict):
            raise DecodeError("it is no object")
        extra = ExtraData.decode(bytes.fromhex(str(document.get("extraData")).removeprefix("0x")))
        rules = _object(_object(document.get("config", {})).get("qbft", {}))
        length = rules.get("epochlength", EPOCH_BLOCKS)
        if not isinstance(length, int) or isinstance(length, bool) or length < 1:
            raise DecodeError("its epochlength is no number of blocks")
    except (ValueError, DecodeError) as error:
        raise InputError(
            f"{path} is no genesis file of a QBFT network ({error}).",
            fix="Name the genesis.json of the network.",
        ) from error
    if "validatorcontractaddress" in rules:
        raise InputError(
            f"The network of {path} keeps its validators in a contract, and such seals are not checked.",
            fix="Leave --genesis out, and name several nodes with --rpc.",
        )
    return frozenset(extra.validators), length


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DecodeError("its config is no object")
    return value


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).", fix="Check the path.") from error
    if len(content) > limit:
        raise InputError(f"{path} is longer than {limit} bytes.", fix="Name another file.")
    return content


def ledger_pins(ledger: Path | None, chain_id: int | None, contract: str | None) -> tuple[Pins, list[str]]:
    """Return what is pinned about the ledger, and the node that a ledger file names.

    Raises:
        typer.BadParameter: Chain and contract are given twice, or not at all.
        InputError: There is no such ledger file.
    """
    if ledger is None:
        if chain_id is None or contract is None:
            raise typer.BadParameter("Say which ledger: --chain-id and --contract, or --ledger ledger.toml.")
        return Pins(chain_id=chain_id, contract=hexadecimal(contract, ADDRESS_SIZE, "--contract")), []
    if chain_id is not None or contract is not None:
        raise typer.BadParameter("--ledger says chain id and contract: leave --chain-id and --contract out.")
    address = find_ledger(ledger)
    pins = Pins(
        chain_id=address.chain_id,
        contract=bytes.fromhex(address.contract),
        code=bytes.fromhex(address.code),
        confirmations=address.confirmations,
    )
    return pins, [] if address.path is not None else [address.chain]


def word(text: str, option: str) -> bytes:
    """Return a word of 32 bytes."""
    return hexadecimal(text, WORD_SIZE, option)
