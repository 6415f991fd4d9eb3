"""The public folder of a run: what the coordinator leaves and what an auditor reads.

::

    FOLDER/
      run.json             which chain, contract and run this is, and where the other papers are
      ledger.sqlite        the embedded chain (absent where the ledger is an external chain)
      checkpoints/ACCOUNT  that member's newest checkpoint of the chain
      archive/             every model, header, leaf, ciphertext, answer and key, by SHA-256
      rounds/00001.json    which archived object plays which part in round 1
      model.safetensors    the newest model
      seal.json            sizes and digests of all files above and the coordinator's signature over them

Nothing in the JSON papers is trusted: each entry only says where to look, and the audit compares what it finds with the
ledger. The names of the holders are for people and not checked by anything.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import ClassVar, Self

from fl_core.codec import read_json
from fl_core.errors import DecodeError

MAX_RUN_PAPER = 1 << 21
"""Bytes; ten thousand holders."""
MAX_ROUND_PAPER = 1 << 23
"""Bytes; ten thousand contributions."""
MAX_SEAL_PAPER = 1 << 24
"""Bytes; a hundred thousand files."""
MAX_EVIDENCE_PAPER = 1 << 20
"""Bytes; two blocks."""
MAX_CHAIN_BYTES = 1 << 28
"""Largest file of an embedded chain that is audited: some thirty thousand blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Paper:
    """A JSON document with a fixed set of fields and one canonical form."""

    FORMAT: ClassVar[str]
    LIMIT: ClassVar[int]
    """Most bytes of a document."""

    def encode(self) -> bytes:
        """Return the document."""
        values = {"format": self.FORMAT, **asdict(self)}
        return json.dumps(values, sort_keys=True, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a document.

        Raises:
            DecodeError: It is too long, not JSON, or its fields are not the expected ones.
        """
        values = read_json(data, limit=cls.LIMIT, what=cls.FORMAT, containers=len(fields(cls)) + 1)
        try:
            if not isinstance(values, dict):
                raise TypeError("not an object")
            if values.pop("format") != cls.FORMAT or set(values) != {field.name for field in fields(cls)}:
                raise ValueError("unknown format or fields")
            for field in fields(cls):
                _check_type(str(field.type), values[field.name])
            paper = cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise DecodeError(f"{cls.FORMAT}: not a valid document ({type(error).__name__})") from error
        if paper.encode() != data:
            raise DecodeError(f"{cls.FORMAT}: the document is not in its canonical form")
        return paper


def _check_type(expected: str, value: object) -> None:
    """Check a JSON value against the annotation of its field; raises :class:`ValueError`."""
    good = {
        "int": type(value) is int and value >= 0,
        "str": isinstance(value, str),
        "list[str]": isinstance(value, list) and all(isinstance(item, str) for item in value),
        "dict[str, str]": isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
    }[expected]
    if not good:
        raise ValueError(f"a value is not of the type {expected}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaper(_Paper):
    """Which run a folder is about. All values are hexadecimal without prefix, but for names and numbers.

    Attributes:
        chain_id: Chain of the ledger.
        contract: Address of the ledger's contract.
        token: Address of the reward token.
        run: Run id.
        terms: SHA-256 of the archived terms document.
        initial_model: SHA-256 of the archived model that round 1 trains from.
        transport_keys: Account -> SHA-256 of its archived transport public key.
        names: Account -> name, for people.
    """

    FORMAT: ClassVar[str] = "suture-run-v1"
    LIMIT: ClassVar[int] = MAX_RUN_PAPER

    chain_id: int
    contract: str
    token: str
    run: str
    terms: str
    initial_model: str
    transport_keys: dict[str, str]
    names: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPaper(_Paper):
    """Where the papers of one finalised round are: SHA-256 of archived objects, hexadecimal.

    Attributes:
        round: Round number.
        header: The round header.
        leaves: Account -> signed leaf, for the whole accepted set.
        included: Accounts of the included set, ascending.
        exclusions: The reasons for leaving accepted contributions out.
        ciphertexts: Account -> ciphertext, for the whole accepted set.
        prekeys: Account -> a member's signed prekey, which shares for it were sealed to.
        checks: Account -> a member's signed values in the share check.
        reveals: Account -> signed answer of a member.
        blames: Account -> a member's signed values in a blame opening; empty where there was none.
        blamed: Accounts that it named, ascending.
        weights: Account -> a client's opened weight; empty under terms that do not pay by examples.
        aggregate_key: The aggregate key.
        metrics: The round's metrics document.
        rewards: The cumulative rewards document, or empty when the round paid nothing.
        model: The model that the round made.
    """

    FORMAT: ClassVar[str] = "suture-round-v1"
    LIMIT: ClassVar[int] = MAX_ROUND_PAPER

    round: int
    header: str
    leaves: dict[str, str]
    included: list[str]
    exclusions: str
    ciphertexts: dict[str, str]
    prekeys: dict[str, str]
    checks: dict[str, str]
    reveals: dict[str, str]
    blames: dict[str, str]
    blamed: list[str]
    weights: dict[str, str]
    aggregate_key: str
    metrics: str
    rewards: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealPaper(_Paper):
    """What the coordinator says is in the folder when it is done.

    Attributes:
        run: Run id.
        files: Path relative to the folder -> size in bytes, one space, SHA-256.
        signature: The coordinator's EIP-712 signature (``Bundle``) over run and files.
    """

    FORMAT: ClassVar[str] = "suture-seal-v1"
    LIMIT: ClassVar[int] = MAX_SEAL_PAPER

    run: str
    files: dict[str, str]
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePaper(_Paper):
    """What a node keeps when somebody shows it two histories; see :mod:`ledger.misconduct`. Bytes are hexadecimal.

    Attributes:
        kind: One of :class:`ledger.misconduct.Kind`.
        chain_id: Chain of the ledger.
        contract: Address of the ledger's contract.
        genesis: Hash of block 0.
        party: Account of who signed two histories; empty where nobody's signature shows it.
        number: Height at which the histories part.
        ours: The block of the node's own copy.
        theirs: The other block; empty where none came.
        checkpoints: Signed checkpoints that belong to it.
        found_at: When it was found, in Unix seconds by the node's clock.
    """

    FORMAT: ClassVar[str] = "suture-evidence-v1"
    LIMIT: ClassVar[int] = MAX_EVIDENCE_PAPER

    kind: str
    chain_id: int
    contract: str
    genesis: str
    party: str
    number: int
    ours: str
    theirs: str
    checkpoints: list[str]
    found_at: int


@dataclass(frozen=True, slots=True)
class PublicFolder:
    """Where everything is in a run's public folder."""

    path: Path

    @property
    def run(self) -> Path:
        """The run's paper."""
        return self.path / "run.json"

    @property
    def chain(self) -> Path:
        """The embedded chain."""
        return self.path / "ledger.sqlite"

    @property
    def checkpoints(self) -> Path:
        """The folder of the members' newest checkpoints, a file for each member."""
        return self.path / "checkpoints"

    @property
    def archive(self) -> Path:
        """The content-addressed store."""
        return self.path / "archive"

    @property
    def rounds(self) -> Path:
        """The folder of the rounds' papers."""
        return self.path / "rounds"

    @property
    def model(self) -> Path:
        """The newest model."""
        return self.path / "model.safetensors"

    @property
    def seal(self) -> Path:
        """The seal."""
        return self.path / "seal.json"

    def round(self, number: int) -> Path:
        """The paper of one round."""
        return self.rounds / f"{number:05d}.json"
