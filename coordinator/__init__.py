"""Runs rounds. Holds no data, and no key that opens an update.

:mod:`coordinator.app` and :mod:`coordinator.strategy` adapt Flower's messages to :mod:`coordinator.session`, one round from its
header to its model, around the pure machine of :mod:`coordinator.rounds`. What it does is in :mod:`coordinator.store` before
it leaves the process. :mod:`coordinator.engines` carries all of it in one process or over Flower's. Import from these modules;
nothing is re-exported here.
"""
