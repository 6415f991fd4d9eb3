"""One round of secure aggregation: what is said, by whom, and what everybody checks. ``docs/explanation/protocol.md`` as code.

Read :mod:`fl_core.protocol.dry_run` first. Then, in the order of a round:

======================  ======================================================================================
``header``, ``terms``   what a round is; ``header_check``, ``prekeys`` and ``rules`` say which header is acceptable
``client``              one update in, one frame out
``coordinator``         frames into one sum; what to ask members, and whether an answer is one
``share_check``         whose shares fit whose ciphertext, before anything is opened; ``exclusions``
``member``              the once-only answer: a sum of shares
``recovery``            the aggregate key, and who lied; ``opening``: the one sum that it opens
``blame``               who spoilt a ring element
``phases``              which step may follow which, for each role
``messages``            and ``check_messages``, ``blame_messages``, ``statements``, ``envelope``: what travels
======================  ======================================================================================

Nothing here does I/O. What a caller owes (write first, answer once) is in the docstring of each step.
"""
