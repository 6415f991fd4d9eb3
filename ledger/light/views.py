"""Views of the contracts, answered from proven storage instead of by a node.

A view computes its answer from storage; so whoever has the words behind it needs nobody to compute it. Each function here gives what the
view of that name in ``ledger/contracts`` returns, in the form of :meth:`ledger.chain.abi.Function.results`. Tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ledger.light import slots
from ledger.light.state import ContractState
from ledger.records import ADDRESS_SIZE, EMPTY_WORD, WORD_SIZE

MAX_LINEAGE = 64
"""Most ancestors that one call of ``lineage`` returns (MAX_LINEAGE in the contract)."""
_LOW = (1 << 128) - 1
_STATE_BITS, _NUMBER_BITS = 8, 32

Answer = tuple[Any, ...]
View = Callable[..., Answer]


def _word(number: int) -> bytes:
    return number.to_bytes(WORD_SIZE, "big")


def _address(number: int) -> bytes:
    return _word(number)[-ADDRESS_SIZE:]


def _runs(state: ContractState, run: bytes) -> Answer:
    progress, coordinator, sponsor, token, terms, delay, privacy, money, claimed = state.words(
        slots.run_slots(run)
    )
    small, closes_at = _unpacked(progress, numbers=5)
    run_state, min_clients, max_rounds, opened, finalised, accepted = small
    return (
        (
            _address(sponsor), _address(coordinator), _address(token), _word(terms), run_state, min_clients, max_rounds,
            opened, finalised, accepted, delay, closes_at, privacy & _LOW, privacy >> 128, money & _LOW, money >> 128,
            claimed,
        ),
    )  # fmt: skip


def _unpacked(progress: int, *, numbers: int) -> tuple[list[int], int]:
    """Take a packed word apart: a state of 8 bits, numbers of 32, and what is left; from the low bits up."""
    found, progress = [progress & ((1 << _STATE_BITS) - 1)], progress >> _STATE_BITS
    for _ in range(numbers):
        found.append(progress & ((1 << _NUMBER_BITS) - 1))
        progress >>= _NUMBER_BITS
    return found, progress


def _models(state: ContractState, model: bytes) -> Answer:
    run, number, artifact, metrics, aggregate_key = state.words(slots.model_slots(model))
    parent = _parent(state, model)
    return ((_word(run), number, parent, _word(artifact), _word(metrics), _word(aggregate_key)),)


def _parent(state: ContractState, model: bytes) -> bytes:
    words = state.words(slots.model_slots(model))
    if words[slots.ROUND] == 0:
        return EMPTY_WORD
    (parent,) = state.words([slots.parent_slot(_word(words[slots.RUN]), words[slots.ROUND])])
    return _word(parent)


def _lineage(state: ContractState, model: bytes) -> Answer:
    ancestors: list[bytes] = []
    while len(ancestors) < MAX_LINEAGE:
        parent = _parent(state, ancestors[-1] if ancestors else model)
        if parent == EMPTY_WORD:
            break
        ancestors.append(parent)
    return (tuple(ancestors),)


def _balance(state: ContractState, owner: bytes) -> Answer:
    return state.words([slots.balance_slot(owner)])


LEDGER_VIEWS: dict[str, View] = {"runs": _runs, "models": _models, "lineage": _lineage}
"""Views of a ``TrainingLedger`` that an audit asks."""
TOKEN_VIEWS: dict[str, View] = {"balanceOf": _balance}
"""Views of a ``RewardToken`` that an audit asks."""


def proven(views: dict[str, View], name: str, state: ContractState, arguments: Sequence[object]) -> Answer:
    """Answer one view.

    Args:
        views: Those of the contract.
        name: One of them.
        state: The contract, whose code was checked.
        arguments: Of the call.

    Raises:
        VerificationError: A node proves something else, or nothing.
    """
    return views[name](state, *arguments)
