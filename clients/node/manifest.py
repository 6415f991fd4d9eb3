"""What a holder commits to about its data set: how many records, and which, without showing one.

Every record is hashed with a salt of its own, the salts come from one secret, and the commitment is the root of a tree over
the hashes. Holding the secret, the house can prove that a record was part of the data set; erasing the secret erases every
link between the commitment and the records.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fl_core.digests import Label, digest
from fl_core.hashtree import leaf_hash, tree_root
from fl_core.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A data set as others see it.

    Attributes:
        records: Number of records.
        commitment: Salted commitment to all of them, 32 bytes.
    """

    records: int
    commitment: bytes


def record_leaf(salt: Secret, position: int, record: bytes) -> bytes:
    """Return the salted hash of the record at ``position``."""
    own = digest(Label.PRIVATE_VALUE, salt.reveal(), position.to_bytes(8, "big"))
    return leaf_hash(digest(Label.DATASET_RECORD, own, record))


def describe(records: Iterable[bytes], salt: Secret) -> Manifest:
    """Commit to ``records`` in their order.

    Raises:
        ValueError: There are no records.
    """
    leaves = [record_leaf(salt, position, record) for position, record in enumerate(records)]
    if not leaves:
        raise ValueError("a data set has at least one record")
    commitment = digest(Label.DATASET, len(leaves).to_bytes(8, "big"), tree_root(leaves))
    return Manifest(records=len(leaves), commitment=commitment)
