"""The table of checks: number, name, what each proves, and which earlier ones it builds on. Data only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One entry of the table.

    Attributes:
        number: From 1; never given to another check.
        name: One word.
        proves: What it means that the check passes, in one sentence.
        needs: Checks that must have passed.
    """

    number: int
    name: str
    proves: str
    needs: tuple[int, ...] = ()


SEAL = Check(
    number=1,
    name="seal",
    proves="The folder holds exactly the files that its seal lists, byte for byte.",
)
LEDGER = Check(
    number=2,
    name="ledger",
    proves="Executing every block again gives the recorded chain, which holds contracts of this version and nothing else.",
)
MEMBERS = Check(
    number=3,
    name="members",
    proves="The coordinator signed the seal, transport keys are registered, and whoever contributed had consented before.",
    needs=(2,),
)
TERMS = Check(
    number=4,
    name="terms",
    proves="The terms document and the initial model are those on the ledger.",
    needs=(2,),
)
ROUNDS = Check(
    number=5,
    name="rounds",
    proves="Each finalised round has its papers, and its header is the ledger's and obeys terms and protocol.",
    needs=(2, 4),
)
LEAVES = Check(
    number=6,
    name="leaves",
    proves="Accepted and included sets are the ledger's, and every leaf is signed by its holder's key of that time.",
    needs=(5,),
)
CIPHERTEXTS = Check(
    number=7,
    name="ciphertexts",
    proves="Every archived ciphertext is the one that its holder signed.",
    needs=(6,),
)
ANSWERS = Check(
    number=8,
    name="answers",
    proves="Who was left out follows from the members' signed values, and their answers combine to the aggregate key.",
    needs=(7,),
)
AGGREGATES = Check(
    number=9,
    name="aggregates",
    proves="The ciphertexts, added up and opened, give the metrics on the ledger and the next round's clips.",
    needs=(7, 8),
)
MODELS = Check(
    number=10,
    name="models",
    proves="Every model is its parent plus the opened aggregate, bit for bit, from the registered root to the newest.",
    needs=(7, 8),
)
REWARDS = Check(
    number=11,
    name="rewards",
    proves="The rewards follow from the included sets to the last unit, and the escrow's books add up.",
    needs=(6,),
)
PRIVACY = Check(
    number=12,
    name="privacy",
    proves="No file in the folder holds private key material.",
)
CHECKPOINTS = Check(
    number=13,
    name="checkpoints",
    proves="More than two thirds of the members with keys executed the chain themselves and signed its newest block.",
    needs=(2,),
)

CHECKS = (
    SEAL,
    LEDGER,
    MEMBERS,
    TERMS,
    ROUNDS,
    LEAVES,
    CIPHERTEXTS,
    ANSWERS,
    AGGREGATES,
    MODELS,
    REWARDS,
    PRIVACY,
    CHECKPOINTS,
)
"""All checks, in the order in which they are made."""
