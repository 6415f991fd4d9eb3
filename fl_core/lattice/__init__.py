"""Arithmetic of the ring R_q = Z_q[X]/(X^N + 1), and the reviewed constants it is used with.

* :mod:`fl_core.lattice.parameters` names the parameter sets and packings, with the security argument.
* :mod:`fl_core.lattice.ring` is the arithmetic: exact uniform sampling, number-theoretic transform, multiplication.
* :mod:`fl_core.lattice.kernels` holds the compiled loops behind it; nothing else calls them.

What the ring is used for is not said here: see :mod:`fl_core.secagg`. Importing ``ring`` loads the compiled kernels, so
it is imported where it is needed and not from this file.
"""
