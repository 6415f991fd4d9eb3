"""The other mode: CKKS with TenSEAL, for consortia whose coordinator must not even see the aggregate.

The holders of a run share one CKKS key pair. They encrypt under it, the coordinator adds ciphertexts that it cannot open,
and every holder opens the sum. **Any holder could open another holder's upload if it got the bytes**, and nobody outside
the consortium can recompute an aggregate: use the default mode unless a blind coordinator is what you need.

The modules in the order in which a run uses them:

==============  ==============================================================================================
``parameters``  one reviewed parameter set for sums only, its security argument, and the bound on the error
``binding``     the one door to TenSEAL, which is an optional dependency
``structure``   what bytes must look like before SEAL's parsers see them
``keys``        the holders' key, and the public context without a key that the coordinator gets
``vector``      updates, weights and counters as slots, and the mean out of a sum of slots
``running``     the coordinator's sum, one upload at a time
``agreement``   plan and key package
``messages``    upload, sum, report
``steps``       what the coordinator asks of a node, step by step
``ceremony``    the first holder makes the key and seals it to the others; the others open it
==============  ==============================================================================================

Randomness: **SEAL draws its own** (BLAKE2xb seeded by the operating system); keys and encryptions of this mode cannot be
derived from a :class:`~fl_core.randomness.RandomSource`. Everything else takes none.

Residual risk: ciphertexts and contexts are parsed by C++ code (protobuf, zstd, SEAL). ``structure`` bounds every length
and the announced size of what is compressed before that code runs, and callers verify the sender's signature first, so
only registered members and the coordinator reach it; what is inside the compressed part is checked by SEAL alone.
"""
