"""The checks of an audit, one module each; :mod:`.table` lists them in order, :mod:`.verify` one level up runs them.

A check is a function ``check(evidence, findings) -> summary``: it notes every fault it finds and returns one sentence about
what it looked at, for the case that there is none. It does not repeat what a check that it needs has established.
"""
