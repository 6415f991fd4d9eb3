"""The key ceremony: the first holder of the cohort makes the run's key, the others open their boxes.

The package is signed and the same for everybody; the coordinator relays it and can open nothing in it. A box opens for one
receiver, in one plan, with one package's context and commitment only. What the callers owe: the plan was checked against
the ledger first, **one package is made or taken for each run, ever**, and the package is on disk before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable

from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.secagg.boxes import TransportPrivateKey, seal
from fl_core.secagg.ckks.agreement import KeyPackage, Plan
from fl_core.secagg.ckks.keys import HolderKey, PublicContext
from fl_core.secagg.ckks.parameters import CKKS2048, CkksParameters

PARAMETERS: CkksParameters = CKKS2048
"""The parameter set of every run in this mode."""

Sign = Callable[[bytes], bytes]
"""Signs 32 bytes with the holder's account."""

Verify = Callable[[bytes, bytes], None]
"""Checks that the dealer's registered key signed 32 bytes; raises VerificationError."""


def box_info(plan: Plan, position: int, context: bytes, commitment: bytes) -> bytes:
    """Return HPKE's ``info`` for the box of the holder at ``position``: it opens there and nowhere else.

    Binds run, epoch, chain, contract and cohort through the plan, and sender, receiver, the receiver's key, context, key.
    """
    receiver = plan.cohort[position]
    key = plan.transport_keys[position]
    return digest(Label.CKKS_BOX, plan.digest, plan.dealer, receiver, key, context, commitment)


def deal(plan: Plan, *, me: bytes, sign: Sign) -> tuple[HolderKey, KeyPackage]:
    """Make the run's key and the package for the others; the dealer runs it, once for a run.

    The key comes from SEAL's own randomness, the boxes from the boxes' library.

    Raises:
        LocalProtocolError: This holder is not the dealer.
        DecodeError: A transport key is not usable.
    """
    if me != plan.dealer:
        raise LocalProtocolError("the first holder of the cohort deals the key, and this is another one")
    key = HolderKey.generate(PARAMETERS, len(plan.cohort))
    context, commitment = key.public().encode(), key.commitment()
    secret = key.secret().reveal()
    boxes = tuple(
        seal(plan.transport_keys[position], box_info(plan, position, context, commitment), secret)
        for position in range(1, len(plan.cohort))
    )
    unsigned = KeyPackage(
        plan=plan.digest, context=context, commitment=commitment, boxes=boxes, signature=bytes(65)
    )
    package = KeyPackage(
        plan=plan.digest,
        context=context,
        commitment=commitment,
        boxes=boxes,
        signature=sign(unsigned.signed),
    )
    return key, package


def check_package(plan: Plan, package: KeyPackage, *, verify: Verify) -> PublicContext:
    """Check a package from outside; holders and coordinator run it.

    Returns:
        The public context, which holds no key.

    Raises:
        VerificationError: (1) it belongs to another plan or has another number of boxes, (2) the dealer's registered key
            did not sign it.
        DecodeError: (3) its context holds a key or has other parameters.
    """
    # (1)
    if package.plan != plan.digest or len(package.boxes) != len(plan.cohort) - 1:
        raise VerificationError("the key package belongs to another plan", party=plan.dealer.hex())
    # (2)
    verify(package.signed, package.signature)
    # (3)
    return PublicContext.decode(PARAMETERS, len(plan.cohort), package.context)


def take(
    plan: Plan, package: KeyPackage, *, me: bytes, transport: TransportPrivateKey, verify: Verify
) -> HolderKey:
    """Open this holder's box; every holder but the dealer runs it.

    Raises:
        VerificationError: (1) this holder has no box in the plan, (2) a check of the package failed, (3) the box does not
            open, (4) what is in it is not the key that the package commits to.
        DecodeError: As for :func:`check_package`.
    """
    # (1)
    if me not in plan.cohort[1:]:
        raise VerificationError("this holder has no box in the key package")
    # (2)
    check_package(plan, package, verify=verify)
    # (3)
    position = plan.cohort.index(me)
    info = box_info(plan, position, package.context, package.commitment)
    secret = transport.open(info, package.boxes[position - 1])
    # (4)
    key = HolderKey.load(PARAMETERS, len(plan.cohort), secret)
    if key.commitment() != package.commitment:
        raise VerificationError("the key is not the one that the package commits to", party=plan.dealer.hex())
    return key
