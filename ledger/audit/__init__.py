"""The audit of a public folder: numbered checks, and the lineage of a model. Offline, without a key, writing nothing.

The parts, in the order in which a reader needs them:

* :mod:`.papers`: the folder's JSON papers as checked values; :mod:`.chain`: its embedded chain
* :mod:`.chronicle`: what the ledger recorded about the run; :mod:`.evidence`: all of it behind one object
* :mod:`.findings`: faults and verdicts; :mod:`.checks`: one module for each check, and the table of them
* :mod:`.verify`: runs the table; :mod:`.trace`: from a model file to its lineage
* :mod:`.cli`, :mod:`.screen`: ``suture-audit`` and how it shows results

Nothing here imports a signer, a writer or the coordinator: what an auditor runs can neither sign nor change anything, and
shares with the audited party only what defines the protocol.
"""
