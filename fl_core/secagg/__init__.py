"""Secure aggregation: many encrypt, everybody adds, only the sum opens.

One party's vector m is encrypted under its own fresh secret s as ``c_j = a_j*s + e_j + Delta*m_j mod q`` with public
``a_j``. Ciphertexts add up, and so do secrets: the sum of ciphertexts opens under the sum S of the secrets, which the
members recover from Shamir shares without any of them ever holding one party's secret.

The modules in the order in which a round uses them:

====================  ========================================================================================
``layout``            how long everything is; where slots, ring elements and bytes are
``public_elements``   a_j from the digest of the round header
``encrypt``           one party's ciphertext and its :class:`~fl_core.secagg.round_secret.RoundSecret`
``shamir``            shares of the secret over Z_q, their sum, and S from them
``boxes``             shares sealed to members, HPKE with MLKEM768-X25519
``commitment``        the hash-tree root of a ciphertext
``stream``            encryption of a long vector chunk by chunk, in one pass and little memory
``fold``              the running sum of ciphertexts
``decrypt``           checks S on the two check elements, opens the sum, reports ring elements that fail
``noise``             how much noise is honest
``threads``           work on ring elements, spread over threads
``kernels``           the compiled loops of ``encrypt``, ``fold`` and ``decrypt``
====================  ========================================================================================

Nothing here knows rounds, signatures or the ledger, and nothing here does I/O. What callers owe is in each docstring;
above all: **a seed is used for one vector under one header, once**, and a round whose S is known is over.

Sources: the one-message shape with shares of a homomorphic secret is [OPA, CRYPTO 2025]; the encryption is that of
[Stevens22, USENIX Security 2022]. Deviations: uniform instead of small secrets, Shamir shares instead of a second
aggregation of the secret, and two check elements that encrypt zero and so make S unique; the last is this project's own
construction and has not been reviewed by outsiders.
"""
