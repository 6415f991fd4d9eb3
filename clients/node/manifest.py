"""What a holder commits to about its data set: how many records, and which, without showing one.

Every record is hashed with a salt of its own, the salts come from one secret, and the commitment is the root of a tree over
the hashes. Holding the secret, the house can prove that a record was part of the data set; erasing the secret erases every
link between the commitment and the records.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import VerificationError
from fl_core.hashtree import TreeHasher, inclusion_proof, leaf_hash, root_of
from fl_core.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Shows that a record is in a data set. Whoever has it can check that record for ever, erased salt or not.

    Attributes:
        position: Which record, from 0.
        records: Number of records.
        salt: The salt of this record alone; the data set's salt does not follow from it.
        path: The siblings in the tree, lowest first.
    """

    position: int
    records: int
    salt: Secret
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A data set as others see it.

    Attributes:
        records: Number of records.
        commitment: Salted commitment to all of them, 32 bytes.
    """

    records: int
    commitment: bytes


NO_DATA = Manifest(records=0, commitment=bytes(DIGEST_SIZE))
"""Of a node whose data set was erased."""


def record_leaf(salt: Secret, position: int, record: bytes) -> bytes:
    """Return the salted hash of the record at ``position``."""
    return _leaf(record_salt(salt, position), record)


def record_salt(salt: Secret, position: int) -> Secret:
    """Return the salt of one record, from the data set's salt."""
    return Secret(digest(Label.PRIVATE_VALUE, salt.reveal(), position.to_bytes(8, "big")))


def _leaf(own: Secret, record: bytes) -> bytes:
    return leaf_hash(digest(Label.DATASET_RECORD, own.reveal(), record))


def describe(records: Iterable[bytes], salt: Secret) -> Manifest:
    """Commit to ``records`` in their order.

    Raises:
        ValueError: There are no records.
    """
    tree = TreeHasher()
    for position, record in enumerate(records):
        tree.append(record_leaf(salt, position, record))
    if not tree.count:
        raise ValueError("a data set has at least one record")
    return Manifest(records=tree.count, commitment=_commitment(tree.count, tree.root()))


def _commitment(records: int, root: bytes) -> bytes:
    return digest(Label.DATASET, records.to_bytes(8, "big"), root)


def open_record(records: Iterable[bytes], salt: Secret, position: int) -> Opening:
    """Return the opening of one record.

    Raises:
        IndexError: There is no such record.
    """
    leaves = [record_leaf(salt, number, record) for number, record in enumerate(records)]
    if not 0 <= position < len(leaves):
        raise IndexError(position)
    return Opening(
        position=position,
        records=len(leaves),
        salt=record_salt(salt, position),
        path=inclusion_proof(leaves, position),
    )


def verify_opening(commitment: bytes, opening: Opening, record: bytes) -> None:
    """Check that a record is in the data set that was committed to.

    Raises:
        VerificationError: It is not, or the opening is of another data set, record or place.
    """
    root = root_of(_leaf(opening.salt, record), opening.position, opening.records, opening.path)
    if not hmac.compare_digest(_commitment(opening.records, root), commitment):
        raise VerificationError("the record is not in that data set")
