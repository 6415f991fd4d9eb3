"""Everything in a demo's folder that must be in no log line, in the forms in which it could get there."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fl_core.models import decode_model
from fl_core.secret import Secret
from ledger.signer import read_keystore

MAX_MODEL = 1 << 20


def secrets_of(folder: Path) -> dict[str, str]:
    """Return text -> what it is: keys and passphrases of all parties, patients' rows, values of the models."""
    found: dict[str, str] = {}
    for passphrase in folder.rglob("passphrase"):
        text = passphrase.read_text().strip()
        found[text] = str(passphrase)
        for keystore in passphrase.parent.glob("*.json"):
            for form in _forms(read_keystore(keystore, Secret(text.encode())).reveal()):
                found[form] = str(keystore)
    for seed in folder.rglob("*.seed"):
        found.update(dict.fromkeys(_forms(seed.read_bytes()), str(seed)))
    for salt in folder.rglob("data-salt"):
        found[salt.read_text().strip()] = str(salt)
    for records in folder.glob("nodes/*/data/*.csv"):
        found.update(dict.fromkeys(_rows(records), str(records)))
    for model in (folder / "public" / "archive").rglob("*"):
        found.update(dict.fromkeys(_values(model), str(model)))
    return found


def _forms(key: bytes) -> tuple[str, ...]:
    return key.hex(), repr(key)[2:-1], str(int.from_bytes(key, "big")), str(list(key))


def _rows(path: Path) -> Iterator[str]:
    """Each row as the file has it, and as somebody would print it; without its hospital."""
    with path.open(newline="") as file:
        for row in list(csv.reader(file))[1:]:
            yield ",".join(row[1:])
            yield ", ".join(row[1:])
            yield ", ".join(repr(value) for value in row[1:])


def _values(path: Path) -> Iterator[str]:
    """Values of a model with so many digits that they are nothing else by chance."""
    try:
        tensors = decode_model(path.read_bytes(), MAX_MODEL)
    except Exception:  # noqa: BLE001 - other things are archived too
        return
    for tensor in tensors.values():
        for value in np.asarray(tensor, np.float32).ravel():
            digits = str(value)
            if len(digits.lstrip("-0.")) >= 7:
                yield digits
