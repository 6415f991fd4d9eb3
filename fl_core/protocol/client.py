"""The client's step: one update in, one frame out.

Steps 2a to 2e of the protocol (``docs/explanation/protocol.md``), run by the holder's node after
:func:`~fl_core.protocol.header_check.check_header` and the holder's policy. The caller owes two things that no pure
function can give: it stores the frame durably *before* sending it, and it never calls :func:`contribute` twice for one
header digest (a retry sends the stored bytes). The seed and the secret die with this call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.anchor import NO_LOGBOOK, anchor, hide_metrics
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Frame, Leaf, boxes_digest
from fl_core.protocol.setup import box_context, layout_of, quantiser_of
from fl_core.protocol.statements import Contribution, StatementSigner
from fl_core.randomness import SEED_SIZE, RandomSource, Stream
from fl_core.secagg import boxes as sealing
from fl_core.secagg import shamir
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.encrypt import encrypt
from fl_core.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What :func:`contribute` made.

    Attributes:
        frame: To be stored, then sent.
        weight_salt: Opens the frame's weight commitment; stays in the house.
        metrics_salt: Opens ``hidden``; stays in the house.
        hidden: Commitment to the counters; with the logbook's head it gives the frame's metrics commitment.
        clipped: How many of the update's values were clipped.
    """

    frame: Frame
    weight_salt: Secret
    metrics_salt: Secret
    hidden: bytes
    clipped: int


def contribute(
    header: RoundHeader,
    *,
    me: bytes,
    update: npt.NDArray[np.float32],
    examples: int,
    counters: tuple[int, ...],
    dataset: bytes,
    transport_keys: tuple[bytes, ...],
    signer: StatementSigner,
    random: RandomSource,
    threads: int = 1,
    log_head: bytes = NO_LOGBOOK,
) -> Prepared:
    """Quantise, encrypt, share, seal and sign one update. Run by the client.

    Args:
        header: The checked header.
        me: This client's account, 20 bytes.
        update: Difference between the trained and the received model, ``(header.parameters,) float32``, finite.
        examples: Number of examples trained on, at least 1; sets the weight.
        counters: Values of ``header.counters``, each in [0, 2^15).
        dataset: Commitment to the data set.
        transport_keys: Transport public keys of the committee, in seat order; the caller checked each against the
            digest in its seat.
        signer: Signs the statement.
        random: Fresh randomness; used for one seed and two salts.
        log_head: Head of the holder's logbook, which the leaf binds (:mod:`fl_core.protocol.anchor`).
        threads: How many threads encrypt and hash; the bytes are the same for every number.

    Returns:
        The frame and what the holder keeps.

    Raises:
        LocalProtocolError: ``update`` has a wrong shape, or a counter is out of range.
        InputError: ``update`` holds values that are not finite.
    """
    layout, parameters = layout_of(header), PARAMETER_SETS[header.parameter_set]
    seed = random.secret(SEED_SIZE)
    # (a) Quantise under the weight; weight and counters follow the update.
    quantiser = quantiser_of(header)
    units = quantiser.weight_units(examples)
    values, clipped = quantiser.quantise(update, units, counters, Stream(seed, Label.ROUNDING))
    # (b) Encrypt under a fresh uniform secret.
    ciphertext, secret = encrypt(layout, header.digest, values, seed, threads=threads)
    # (c) Share the secret among the committee and seal every share to its member.
    points = tuple(range(1, len(header.committee) + 1))
    shares = shamir.share(parameters, secret, header.threshold, points, Stream(seed, Label.SHARING))
    boxes = tuple(
        sealing.seal(key, box_context(header, me, seat), shamir.encode_vector(parameters, share))
        for key, seat, share in zip(transport_keys, header.committee, shares, strict=True)
    )
    # (d) Commit to what stays hidden.
    weight_salt, metrics_salt = random.secret(DIGEST_SIZE), random.secret(DIGEST_SIZE)
    hidden = hide_metrics(metrics_salt.reveal(), counters)
    statement = Contribution(
        run=header.run,
        round=header.round,
        member=me,
        header=header.digest,
        parent=header.parent,
        ciphertext=ciphertext_root(layout, ciphertext, threads),
        boxes=boxes_digest(boxes),
        dataset=dataset,
        weight=digest(Label.PRIVATE_VALUE, weight_salt.reveal(), units.to_bytes(4, "big")),
        metrics=anchor(hidden, log_head),
    )
    # (e) Sign all of it.
    leaf = Leaf(statement=statement, signature=signer.sign(statement))
    frame = Frame(leaf=leaf, boxes=boxes, ciphertext=bytes(ciphertext))
    return Prepared(
        frame=frame, weight_salt=weight_salt, metrics_salt=metrics_salt, hidden=hidden, clipped=clipped
    )
