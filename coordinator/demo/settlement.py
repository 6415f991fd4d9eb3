"""After the last round: every hospital is paid what it earned, the members co-sign the last block, the public folder is sealed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coordinator.context import RunContext, open_run
from coordinator.history import earned, newest_paying
from coordinator.vouching import Support, collect_checkpoints
from fl_core.randomness import RandomSource
from ledger.merkle import reward_leaf
from ledger.papers import RunPaper
from ledger.rewards import rewards_tree
from ledger.seal import write_seal


def settle_rewards(
    folder: Path, *, clock: Callable[[], int], random: RandomSource
) -> tuple[dict[str, int], int]:
    """Claim every reward for its owner.

    Anybody may push a claim to its owner; here the coordinator does.

    Returns:
        Name -> token units paid, and the number of finalised rounds.
    """
    run = open_run(folder, clock=clock, random=random)
    try:
        return _claim_all(run), run.reader.run(run.run).finalised
    finally:
        run.close()


def seal_run(folder: Path, *, clock: Callable[[], int], random: RandomSource) -> Support:
    """Keep the members' checkpoints that hold, and seal the public folder.

    Returns:
        How many members vouch for the newest block.
    """
    run = open_run(folder, clock=clock, random=random)
    try:
        run.vouch()
        support, domain = collect_checkpoints(run), run.reader.domain()
    finally:
        run.close()
    write_seal(run.public, run=run.run, domain=domain, signer=run.account)
    return support


def _claim_all(run: RunContext) -> dict[str, int]:
    number = newest_paying(run)
    cumulative = earned(run, number)
    if not cumulative:
        return {}
    tree = rewards_tree(run.run, cumulative)
    token = bytes.fromhex(RunPaper.decode(run.public.run.read_bytes()).token)
    for account, amount in cumulative.items():
        if amount > run.reader.claimed(run.run, account):
            proof = tree.proof(reward_leaf(run.run, account, amount))
            intent = f"{run.run.hex()}/{number}/claim/{account.hex()}"
            run.writer.claim(run.run, number, account, amount, proof, intent=intent)
    return {run.names[account]: run.reader.token_balance(token, account) for account in cumulative}
