"""The relay: an HTTPS service beside the coordinator to which nodes connect outward, for duties, answers, archive and blocks.

It runs in a process of its own and shares one file with the coordinator (:mod:`coordinator.store.duties`). It holds no key.
"""
