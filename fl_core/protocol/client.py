"""The client's step: one update in, one frame out, in memory or in a file.

Steps 2a to 2e of the protocol (``docs/explanation/protocol.md``), run by the holder's node after
:func:`~fl_core.protocol.header_check.check_header` and the holder's policy. The caller owes two things that no pure
function can give: it stores the frame durably *before* sending it, and it never calls :func:`contribute` or
:func:`contribute_into` twice for one header digest (a retry sends the stored bytes). The seed and the secret die with the call.

The update is quantised, encrypted and hashed chunk by chunk, while each chunk is in the processor's cache; neither its
integers nor, with :func:`contribute_into`, its ciphertext are ever in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from fl_core.digests import DIGEST_SIZE, Label
from fl_core.errors import LocalProtocolError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.anchor import NO_LOGBOOK, anchor, hide_metrics
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import LEAF_BYTES, Frame, Leaf, boxes_digest, frame_head
from fl_core.protocol.setup import box_context, layout_of, quantiser_of
from fl_core.protocol.statements import Contribution, StatementSigner
from fl_core.protocol.weights import commit_weight
from fl_core.randomness import SEED_SIZE, RandomSource, Stream
from fl_core.secagg import boxes as sealing
from fl_core.secagg import shamir
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.encrypt import Values, encrypt_into
from fl_core.secagg.round_secret import RoundSecret
from fl_core.secagg.stream import Streamed, encrypt_stream
from fl_core.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What stays in the house when a frame was made.

    Attributes:
        weight_salt: Opens the frame's weight commitment.
        units: The weight that it commits to and the update was multiplied by.
        metrics_salt: Opens ``hidden``.
        hidden: Commitment to the counters; with the logbook's head it gives the frame's metrics commitment.
        clipped: How many of the update's values were clipped.
    """

    weight_salt: Secret
    units: int = field(repr=False)
    metrics_salt: Secret
    hidden: bytes
    clipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(Kept):
    """What :func:`contribute` made.

    Attributes:
        frame: To be stored, then sent.
    """

    frame: Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Kept):
    """What :func:`contribute_into` made, besides the bytes in the file.

    Attributes:
        leaf: The frame's leaf.
        frame_bytes: Size of the frame.
    """

    leaf: Leaf
    frame_bytes: int


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
        threads: How many threads encrypt and hash; the bytes are the same for every number. With more than one, all of the
            update's integers are in memory, two or four bytes each.

    Returns:
        The frame and what the holder keeps.

    Raises:
        LocalProtocolError: ``update`` has a wrong shape, or a counter is out of range.
        InputError: ``update`` holds values that are not finite.
    """
    job = _Job(header, me, examples, counters, dataset, transport_keys, signer, random, log_head)
    if threads == 1:
        sink = BytesIO()
        made = job.encrypt(update, sink)
    else:
        sink = BytesIO(bytes(layout_of(header).ciphertext_bytes))
        made = job.encrypt_with_threads(update, sink, threads)
    leaf, boxes, hidden = job.sign(made)
    return Prepared(
        frame=Frame(leaf=leaf, boxes=boxes, ciphertext=sink.getvalue()),  # which copies nothing
        weight_salt=job.weight_salt,
        units=job.units,
        metrics_salt=job.metrics_salt,
        hidden=hidden,
        clipped=job.clipped,
    )


def contribute_into(
    file: BinaryIO,
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
    log_head: bytes = NO_LOGBOOK,
) -> Written:
    """Like :func:`contribute`, with the frame's canonical bytes in a file; memory is bounded by a few chunks.

    The ciphertext is written first, behind the place of what comes before it in a frame, which depends on it.

    Args:
        file: An empty file that can seek. After any error it must be thrown away: its seed is never used again.
        header: As for :func:`contribute`, and so are the others.
        me: See there.
        update: See there; it may be a mapped file.
        examples: See there.
        counters: See there.
        dataset: See there.
        transport_keys: See there.
        signer: See there.
        random: See there.
        log_head: See there.

    Raises:
        LocalProtocolError: As for :func:`contribute`.
        InputError: As for :func:`contribute`.
    """
    job = _Job(header, me, examples, counters, dataset, transport_keys, signer, random, log_head)
    box_bytes = shamir.vector_bytes(PARAMETER_SETS[header.parameter_set]) + sealing.BOX_OVERHEAD
    place = frame_head(bytes(LEAF_BYTES), (bytes(box_bytes),) * len(header.committee), 0)
    file.seek(len(place))
    made = job.encrypt(update, file)
    leaf, boxes, hidden = job.sign(made)
    head = frame_head(leaf.encode(), boxes, layout_of(header).ciphertext_bytes)
    if len(head) != len(place):
        raise LocalProtocolError(f"a frame of this round begins with {len(place)} bytes, not {len(head)}")
    file.seek(0)
    file.write(head)
    return Written(
        leaf=leaf,
        frame_bytes=len(head) + layout_of(header).ciphertext_bytes,
        weight_salt=job.weight_salt,
        units=job.units,
        metrics_salt=job.metrics_salt,
        hidden=hidden,
        clipped=job.clipped,
    )


class _Job:
    """The steps of one contribution, in the order of the protocol."""

    def __init__(
        self,
        header: RoundHeader,
        me: bytes,
        examples: int,
        counters: tuple[int, ...],
        dataset: bytes,
        transport_keys: tuple[bytes, ...],
        signer: StatementSigner,
        random: RandomSource,
        log_head: bytes,
    ) -> None:
        self._header, self._me, self._counters, self._dataset = header, me, counters, dataset
        self._keys, self._signer, self._log_head = transport_keys, signer, log_head
        self._layout, self._quantiser = layout_of(header), quantiser_of(header)
        self.units = self._quantiser.weight_units(examples)
        self._seed = random.secret(SEED_SIZE)
        self.weight_salt, self.metrics_salt = random.secret(DIGEST_SIZE), random.secret(DIGEST_SIZE)
        self.clipped = 0

    def _values(self, update: npt.NDArray[np.float32]) -> Iterator[Values]:
        """Give the integers chunk by chunk."""
        # (a) Quantise under the weight; weight and counters follow the update.
        coins = Stream(self._seed, Label.ROUNDING)
        for chunk in self._quantiser.quantise_chunks(update, self.units, self._counters, coins):
            self.clipped += chunk.clipped
            yield chunk.values

    def encrypt(self, update: npt.NDArray[np.float32], sink: BinaryIO) -> Streamed:
        """Quantise, encrypt and hash one chunk after the other."""
        # (b) Encrypt under a fresh uniform secret.
        return encrypt_stream(self._layout, self._header.digest, self._values(update), self._seed, sink)

    def encrypt_with_threads(self, update: npt.NDArray[np.float32], sink: BytesIO, threads: int) -> Streamed:
        """Make the same bytes by several threads that share the whole vector, into a sink of the ciphertext's size."""
        layout = self._layout
        values, filled = np.empty(layout.length, layout.value_dtype), 0
        for piece in self._values(update):
            values[filled : filled + piece.size] = piece
            filled += piece.size
        with sink.getbuffer() as buffer:
            out: npt.NDArray[np.uint8] = np.asarray(buffer)
            secret = encrypt_into(layout, self._header.digest, values, self._seed, out, threads)
            root = ciphertext_root(layout, out, threads)
            del out  # it holds the buffer
        return Streamed(
            secret=secret, root=root, ciphertext_bytes=layout.ciphertext_bytes, elements=layout.elements
        )

    def sign(self, made: Streamed) -> tuple[Leaf, tuple[bytes, ...], bytes]:
        """Steps (c), (d) and (e); return the leaf, the boxes and the commitment to the counters."""
        header, boxes = self._header, self._boxes(made.secret)
        # (d) Commit to what stays hidden.
        hidden = hide_metrics(self.metrics_salt.reveal(), self._counters)
        weight = commit_weight(header.digest, self._me, self.weight_salt.reveal(), self.units)
        statement = Contribution(
            run=header.run,
            round=header.round,
            member=self._me,
            header=header.digest,
            parent=header.parent,
            ciphertext=made.root,
            boxes=boxes_digest(boxes),
            dataset=self._dataset,
            weight=weight,
            metrics=anchor(hidden, self._log_head),
        )
        # (e) Sign all of it.
        return Leaf(statement=statement, signature=self._signer.sign(statement)), boxes, hidden

    def _boxes(self, secret: RoundSecret) -> tuple[bytes, ...]:
        """Return one sealed share for each seat."""
        # (c) Share the secret among the committee and seal every share to its member.
        header, parameters = self._header, self._layout.params
        points = tuple(range(1, len(header.committee) + 1))
        coins = Stream(self._seed, Label.SHARING)
        shares = shamir.share(parameters, secret, header.threshold, points, coins)
        return tuple(
            sealing.seal(key, box_context(header, self._me, seat), shamir.encode_vector(parameters, share))
            for key, seat, share in zip(self._keys, header.committee, shares, strict=True)
        )
