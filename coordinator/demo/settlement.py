"""After the last round: every hospital is paid what it earned, and the public folder is sealed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coordinator.context import RunContext, open_run
from coordinator.history import earned, newest_finalised
from fl_core.randomness import RandomSource
from ledger.merkle import reward_leaf
from ledger.papers import RunPaper
from ledger.rewards import rewards_tree
from ledger.seal import write_seal


def settle_rewards(
    folder: Path, *, clock: Callable[[], int], random: RandomSource
) -> tuple[dict[str, int], int]:
    """Claim every reward for its owner, then seal the public folder.

    Anybody may push a claim to its owner; here the coordinator does.

    Returns:
        Name -> token units paid, and the number of finalised rounds.
    """
    run = open_run(folder, clock=clock, random=random)
    try:
        paid = _claim_all(run)
        finalised, domain = run.reader.run(run.run).finalised, run.reader.domain()
    finally:
        run.close()
    write_seal(run.public, run=run.run, domain=domain, signer=run.account)
    return paid, finalised


def _claim_all(run: RunContext) -> dict[str, int]:
    number, cumulative = newest_finalised(run), earned(run)
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
