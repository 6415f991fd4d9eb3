"""``suture demo``: the whole of Suture on one machine, with real processes or in one process, on real hospital data.

The demo plays every role: four hospitals, a coordinator, a researcher who pays, an auditor. Each acts with keys of its own in
a folder of its own, through the same code as in production. The coordinator does not import what belongs to the holders: it
is given by reference, as Flower itself loads a ClientApp (:mod:`coordinator.engines.references`).
"""
