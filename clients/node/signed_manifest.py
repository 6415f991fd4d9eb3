"""What a holder shows others of a data set: name, task, columns, number of records and commitment, signed; no record."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields, replace
from typing import Self

from fl_core.codec import construct, read_json
from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import DecodeError
from ledger.typed_data import SIGNATURE_SIZE, verify

MAX_MANIFEST = 1 << 20  # bytes
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
FORMAT = "suture-dataset-v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedManifest:
    """A data set as its holder describes it to others.

    Attributes:
        holder: The holder's account, hexadecimal.
        name: The data set's name in the house.
        task: The training task that checked it.
        columns: The first line of the file.
        records: Number of records.
        commitment: Salted commitment to all of them, hexadecimal.
        source: Where the records are, when they are not in the node's folder.
        created: Unix time in seconds.
        signature: The holder's signature over all that, hexadecimal.
    """

    holder: str
    name: str
    task: str
    columns: str
    records: int
    commitment: str
    source: str
    created: int
    signature: str = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            if type(getattr(self, one.name)) is not (int if one.type == "int" else str):
                raise ValueError(f"{one.name} is not of the type {one.type}")
        if (
            not NAME.fullmatch(self.name)
            or self.records < 1
            or len(bytes.fromhex(self.commitment)) != DIGEST_SIZE
        ):
            raise ValueError("name, number of records or commitment are none")

    @property
    def signed(self) -> bytes:
        """What is signed: 32 bytes."""
        return digest(Label.DATASET_MANIFEST, replace(self, signature="").encode())

    def encode(self) -> bytes:
        """Return the document."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a document; whether its signature holds is :func:`verify_manifest`'s.

        Raises:
            DecodeError: It is not the canonical form of a manifest.
        """
        values = read_json(data, limit=MAX_MANIFEST, what="data-set manifest", containers=1)
        if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
            raise DecodeError("data-set manifest: another format")
        if set(values) != {one.name for one in fields(cls)}:
            raise DecodeError("data-set manifest: unknown fields")
        manifest = construct("data-set manifest", lambda: cls(**values))
        if manifest.encode() != data:
            raise DecodeError("data-set manifest: not in its canonical form")
        return manifest


def verify_manifest(manifest: SignedManifest) -> None:
    """Check that the holder signed it.

    Raises:
        VerificationError: It did not.
    """
    signature = bytes.fromhex(manifest.signature) if len(manifest.signature) == 2 * SIGNATURE_SIZE else b""
    verify(manifest.signed, signature, bytes.fromhex(manifest.holder))
