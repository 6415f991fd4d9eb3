"""Three ways to carry one Flower app: in this process, over real Flower processes, and (later) Flower's simulation.

- :mod:`~coordinator.engines.local`: an in-process grid with injectable faults; no port, no process.
- :mod:`~coordinator.engines.deployment`: SuperLink, SuperNodes and their helpers over loopback, supervised.
- :mod:`~coordinator.engines.exchange`: one streaming message exchange over any of Flower's grids.
- :mod:`~coordinator.engines.bundle`: the app folder, its Flower bundle and the bundle's digest.

Importing this package switches Flower's telemetry and update check off before any of its modules can import Flower.
Nothing heavy is imported here.
"""

from __future__ import annotations

from coordinator.engines import environment

environment.apply()
