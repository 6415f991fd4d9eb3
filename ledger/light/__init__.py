"""Reading a ledger from nodes that nobody trusts: an auditor without a copy of the chain.

A node only says things. Here everything that it says about a block and about one record is checked from hashes and
signatures (EIP-1186 proofs, QBFT commit seals, members' checkpoints, other nodes), in numbered checks that raise:

* :mod:`.table`: the checks, and what each stops
* :mod:`.header`: a block's hash from its fields; :mod:`.qbft`: who sealed it
* :mod:`.proofs`: accounts and storage under a state root; :mod:`.slots`: where the contract keeps its records
* :mod:`.nodes`: what several nodes say about one height; :mod:`.witnesses`: what vouches for a block
* :mod:`.verify`: all checks in order

What it does not do: execute anything. A chain whose validators or witnesses all lie, it believes. Pure: whoever calls brings
the connections and the time.
"""
