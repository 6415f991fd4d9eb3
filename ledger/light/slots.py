"""Where the contract keeps its records: storage slots, from the layout in the artifact.

Vyper puts an entry of a map at keccak256(slot . key), slot first (Solidity hashes the key first), and the fields of a struct
one behind the other, each in a slot of its own. The order of the fields is that of ``ModelSlots``, ``RunSlots`` and
``RoundSlots`` in ``ledger/contracts/TrainingLedger.vy``; tests prove every one of them on a real chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_utils.crypto import keccak

from ledger.artifacts import load
from ledger.records import EMPTY_WORD, WORD_SIZE

RUN, ROUND, ARTIFACT, METRICS, AGGREGATE_KEY = range(5)
"""Fields of a model, in order."""
MODEL_FIELDS, RUN_FIELDS = 5, 9
_PARENT = 1  # field of a round
_OPENED_BIT, _UINT32 = 72, 0xFFFF_FFFF
"""Where the number of opened rounds lies in a run's first word (``_packRun``)."""


def map_slot(slot: int, *keys: bytes) -> int:
    """Return the slot of an entry of a (nested) map.

    Args:
        slot: The map's.
        keys: One for each level; shorter ones are numbers or addresses and are filled up on the left.
    """
    for key in keys:
        slot = int.from_bytes(keccak(slot.to_bytes(WORD_SIZE, "big") + key.rjust(WORD_SIZE, b"\0")), "big")
    return slot


def _variable(name: str) -> int:
    return load("TrainingLedger").storage_layout[name]


def _uint32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def model_slots(model: bytes) -> tuple[int, ...]:
    """Return the slots of a model's fields, by its id."""
    first = map_slot(_variable("_models"), model)
    return tuple((first + field) % 2**256 for field in range(MODEL_FIELDS))


def parent_slot(run: bytes, number: int) -> int:
    """Return the slot of the model that a round trains from."""
    return (map_slot(_variable("_rounds"), run, _uint32(number)) + _PARENT) % 2**256


def run_slot(run: bytes) -> int:
    """Return the slot of a run's numbers; it holds 0 where there is no such run."""
    return map_slot(_variable("_runs"), run)


def run_slots(run: bytes) -> tuple[int, ...]:
    """Return the slots of a run's fields: its numbers, then as in ``RunSlots``."""
    return tuple((run_slot(run) + field) % 2**256 for field in range(RUN_FIELDS))


def balance_slot(owner: bytes) -> int:
    """Return the slot of an account's balance in a ``RewardToken``."""
    return map_slot(load("RewardToken").storage_layout["balanceOf"], owner)


def opened_rounds(word: int) -> int:
    """Return the number of a run's latest round, from its numbers."""
    return (word >> _OPENED_BIT) & _UINT32


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A model as the contract holds it.

    Attributes:
        run: The run, 32 bytes.
        round: The round that made it; 0 for a registered root.
        artifact: SHA-256 of the file.
        metrics: Commitment to the metrics.
        aggregate_key: Digest of the aggregate key; empty for a root.
    """

    run: bytes
    round: int
    artifact: bytes
    metrics: bytes
    aggregate_key: bytes

    @classmethod
    def of(cls, words: tuple[int, ...]) -> ModelRecord | None:
        """Read the values of :func:`model_slots`; None where there is no model."""
        as_bytes = [word.to_bytes(WORD_SIZE, "big") for word in words]
        if as_bytes[RUN] == EMPTY_WORD:
            return None
        return cls(
            run=as_bytes[RUN],
            round=words[ROUND],
            artifact=as_bytes[ARTIFACT],
            metrics=as_bytes[METRICS],
            aggregate_key=as_bytes[AGGREGATE_KEY],
        )
