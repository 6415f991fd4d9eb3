"""The public record of a consortium, and how to read, write and check it.

What every party agrees on about the ledger is pure and comes first: :mod:`ledger.records` (what is published),
:mod:`ledger.merkle` (proofs), :mod:`ledger.typed_data` (what is signed), :mod:`ledger.rewards` (how a reward is divided),
:mod:`ledger.errors`. The contracts are in ``ledger/contracts``, compiled in :mod:`ledger.artifacts`.

:mod:`ledger.reader` reads without a key, :mod:`ledger.writer` submits with one from :mod:`ledger.signer`, both over
:mod:`ledger.chain`, the only part that speaks to an EVM. :mod:`ledger.archive` keeps the bytes that digests name, and
:mod:`ledger.audit` checks everything without trusting anybody. Import from these modules; nothing is re-exported here.

Keccak-256 comes from a compiled library: the hashing front end of the Ethereum libraries is told so before it is imported.
"""

import os

os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
