"""What people ask a ledger, as answers for a screen or a program: members, proposals, consents, runs, rewards. Needs no key.

The three command lines share these; :mod:`ledger.desk` adds what needs an account. An auditor's program reaches this package
and no further.
"""
