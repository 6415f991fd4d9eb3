"""The trusted side of a data holder's machine: keys, policy, once-only register, data-set manifest, ledger view.

Nothing in here imports Flower or runs code that a bundle brought. The glue reaches it through :mod:`clients.door` only.
"""
