"""Benchmarks behind one door: ``python -m benchmarks`` lists them, ``python -m benchmarks NAME`` runs one.

* :mod:`.cases`: the benchmarks, one flat module each with its constants on top
* :mod:`.measurement`: what a benchmark gives back, and how repeats become one figure
* :mod:`.processes`, :mod:`.round_times`: the things that are timed; :mod:`.machine`: where they were timed
* :mod:`.table`: figures for people; :mod:`.__main__`: the command

Figures are compared within one run, with peers that were timed under the same conditions; figures of two machines say
nothing about each other. ``docs/reference/benchmarks.md`` describes every figure.
"""
