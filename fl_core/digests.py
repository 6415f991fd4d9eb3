"""Domain-separated hashing: the one table of labels, and the one way to use it.

Every hash and every derived key in Suture names its purpose by a :class:`Label` and binds its inputs with explicit
lengths, so that no two uses can produce the same input to SHA-256. The labels bind the protocol version.

The ledger's own hashes (Keccak-256, EIP-712) live in :mod:`ledger.typed_data` and :mod:`ledger.merkle`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import Enum

DIGEST_SIZE = 32
"""Bytes of every digest in the protocol (SHA-256)."""


class Label(Enum):
    """What a hash or a derived key is for. Values are never reused and never change meaning."""

    ROUND_HEADER = "suture/v1/round-header"
    PUBLIC_ELEMENTS = "suture/v1/public-elements"
    CIPHERTEXT_LEAF = "suture/v1/ciphertext-leaf"
    BOX = "suture/v1/box"
    BOXES = "suture/v1/boxes"
    BOX_CONTEXT = "suture/v1/box-context"
    STREAM = "suture/v1/stream"
    SECRET = "suture/v1/stream/secret"  # noqa: S105 - a purpose, not a password
    ERRORS = "suture/v1/stream/errors"
    SHARING = "suture/v1/stream/sharing"
    ROUNDING = "suture/v1/stream/rounding"
    AGGREGATE_KEY = "suture/v1/aggregate-key"
    AGGREGATE = "suture/v1/aggregate"
    SHARES = "suture/v1/shares"
    TRANSPORT_KEY = "suture/v1/transport-key"
    TRANSPORT_SEED = "suture/v1/transport-seed"
    DATASET_RECORD = "suture/v1/dataset-record"
    DATASET = "suture/v1/dataset"
    PRIVATE_VALUE = "suture/v1/private-value"
    WEIGHT = "suture/v1/weight"
    METRICS = "suture/v1/metrics"
    TERMS = "suture/v1/terms"
    TRAINING_SEED = "suture/v1/training-seed"
    DATA_SPLIT = "suture/v1/data-split"
    EXCLUSIONS = "suture/v1/exclusions"
    CHECK_CHALLENGE = "suture/v1/check-challenge"
    CHECK_VALUES = "suture/v1/check-values"
    COMMITTEE = "suture/v1/committee"
    PROBE = "suture/v1/probe"
    BLAME_PLACE = "suture/v1/blame-place"
    BLAME_VALUES = "suture/v1/blame-values"
    SEAL = "suture/v1/seal"
    RELAY_CALL = "suture/v1/relay-call"
    POLICY = "suture/v1/policy"
    CKKS_CONTEXT = "suture/v1/ckks-context"
    CKKS_KEY = "suture/v1/ckks-key"
    CKKS_PLAN = "suture/v1/ckks-plan"
    CKKS_BOX = "suture/v1/ckks-box"
    CKKS_PACKAGE = "suture/v1/ckks-package"
    CKKS_UPLOAD = "suture/v1/ckks-upload"
    CKKS_SUM = "suture/v1/ckks-sum"
    CKKS_REPORT = "suture/v1/ckks-report"
    LOG_ENTRY = "suture/v1/log-entry"
    LOG_ANCHOR = "suture/v1/log-anchor"
    DATASET_MANIFEST = "suture/v1/dataset-manifest"
    FINGERPRINT = "suture/v1/fingerprint"
    FOUNDING = "suture/v1/founding"


def digest(label: Label, *parts: bytes) -> bytes:
    """Hash ``parts`` for the purpose ``label``.

    The input of SHA-256 is the label and each part, every one preceded by its length as eight big-endian bytes; so
    the map from (label, parts) to the hashed bytes is injective.

    Args:
        label: The purpose.
        parts: Any number of byte strings.

    Returns:
        32 bytes.
    """
    hasher = hashlib.sha256()
    for part in (label.value.encode(), *parts):
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.digest()


def digest_of_pieces(label: Label, *parts: bytes, size: int, pieces: Iterable[bytes | memoryview]) -> bytes:
    """Return what :func:`digest` returns for ``parts`` and one more part, which is never in memory as a whole.

    Args:
        label: The purpose.
        parts: Any number of byte strings.
        size: Bytes of the last part.
        pieces: The last part, cut anywhere.

    Raises:
        ValueError: The pieces do not have ``size`` bytes together.
    """
    hasher, came = hashlib.sha256(), 0
    for part in (label.value.encode(), *parts):
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    hasher.update(size.to_bytes(8, "big"))
    for piece in pieces:
        came += len(piece)
        hasher.update(piece)
    if came != size:
        raise ValueError(f"{size} bytes were announced, {came} came")
    return hasher.digest()
