"""Acting on a ledger as an account, from a command line: look, rehearse, ask, send.

:mod:`.desk` is the frame; :mod:`.votes`, :mod:`.keys`, :mod:`.consents`, :mod:`.runs`, :mod:`.rewards` and :mod:`.founding` are what
can be done, once for both programs that have an account. What only reads is in :mod:`ledger.views`.
"""
