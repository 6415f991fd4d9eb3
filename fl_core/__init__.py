"""What every party agrees on: bytes in, values out; no sockets, files, clocks or ambient randomness.

Read :mod:`fl_core.protocol.dry_run` first: all parties of one round. Below it, each layer knows only those after it:

* :mod:`fl_core.protocol`: messages, statements, the steps of client, member and coordinator, and their numbered checks;
* :mod:`fl_core.secagg`: encryption, shares, sums and how they open; the CKKS mode;
* :mod:`fl_core.quantise` and :mod:`fl_core.models`: floats to bounded integers and back; named tensors and their bytes;
* :mod:`fl_core.lattice`: the ring, and the named parameter sets with their security argument;
* ``hashtree``, ``codec``, ``randomness``, ``digests``, ``secret``, ``errors``: what all of these stand on.

Import from the modules; nothing is re-exported here.
"""
