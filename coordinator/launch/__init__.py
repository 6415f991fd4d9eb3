"""Launching a run from a file: from its terms on the ledger to the first round on a SuperLink, resumable at every step."""
