"""All parties of one round, in order, in one process, without network and ledger. Read this first.

The numbers are the steps of ``docs/explanation/protocol.md``; step 1, opening the round, is the header that comes in. Where the
ledger would be asked, a value is handed on; what would cross the network is encoded and decoded. Who the parties are:
:mod:`fl_core.protocol.dry_parties`. What happens when a ring element of the sum fails (step 8): :mod:`fl_core.protocol.blame`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fl_core.protocol.check_messages import CheckAnswer, CheckRequest
from fl_core.protocol.client import contribute
from fl_core.protocol.coordinator import Collector, check_reveal
from fl_core.protocol.dry_parties import Party
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.member import Committed, answer
from fl_core.protocol.messages import Reveal, RevealRequest
from fl_core.protocol.opening import Aggregate, open_aggregate
from fl_core.protocol.recovery import opens, recover_key
from fl_core.protocol.share_check import (
    AcceptedOnLedger,
    answer_check,
    combined_checks,
    judge,
    verify_check_answer,
)
from fl_core.protocol.statements import Notary
from fl_core.randomness import RandomSource


def run_round(
    header: RoundHeader,
    parties: Sequence[Party],
    updates: Mapping[bytes, npt.NDArray[np.float32]],
    *,
    examples: Mapping[bytes, int],
    answering: Iterable[bytes],
    notary: Notary,
    random: RandomSource,
) -> Aggregate:
    """Run one round.

    Args:
        header: The round.
        parties: Everybody; each is client and committee member.
        updates: Account -> update of the clients that stay until they have sent; the others drop out.
        examples: Account -> number of examples.
        answering: Accounts of the members that answer; the others are away.
        notary: Hashes and verifies what parties sign.
        random: Fresh randomness.

    Raises:
        VerificationError: A check failed.
        LocalProtocolError: Fewer members answer than the threshold.
    """
    by_account = {party.address: party for party in parties}
    signers = {account: account for account in by_account}  # whose key signs for an account; on the ledger
    sealed_to = tuple(by_account[seat.address].transport.public for seat in header.committee)
    counters = (0,) * len(header.counters)
    members = [by_account[account] for account in answering]

    # Step 2, each client: quantise, encrypt under a fresh secret, share the secret among the members, seal every share to its
    # member, sign all of it. One message; then the client may go.
    frames = {}
    for me, update in updates.items():
        made = contribute(header, me=me, update=update, examples=examples[me], counters=counters, dataset=bytes(32),
                          transport_keys=sealed_to, signer=by_account[me], random=random)  # fmt: skip
        frames[me] = made.frame.encode()

    # Step 3, the coordinator: check every message and add its ciphertext to one running sum. The ledger: V, all that came.
    collector = Collector(header, signers=signers, notary=notary)
    for frame in frames.values():
        collector.accept(collector.decode(frame))
    accepted = [(a.leaf.statement.member, a.digest) for a in collector.accepted]
    v = AcceptedOnLedger(root=notary.root(accepted), count=len(accepted), signers=signers)

    # Step 4, each member: one number for each client, from the share that it got, under challenges that follow from V. From
    # these numbers and the ciphertexts anybody sees whose shares do not fit, before any sum is opened.
    values = {}
    for member in members:
        asked = CheckRequest.decode(collector.check_request(member.address, receipt=b"").encode())
        said = answer_check(header, asked, me=member.address, committed=v, transport=member.transport, notary=notary,
                            signer=member)  # fmt: skip
        said = CheckAnswer.decode(said.encode())
        verify_check_answer(
            header, said, accepted_root=v.root, accepted_count=v.count, signers=signers, notary=notary
        )
        values[member.address] = said.values
    combined = [
        (a.leaf.statement.member, combined_checks(header, v.root, a.check_rows)) for a in collector.accepted
    ]
    exclusions = judge(header, accepted_root=v.root, combined=combined, answers=values)

    # Step 5, the coordinator: take those clients out of the sum. The ledger: U, whoever is left, and why the others are not.
    for client in exclusions.clients:
        collector.exclude(client, collector.decode(frames[client]).ciphertext)
    included = [(client, leaf) for client, leaf in accepted if client not in exclusions.clients]
    u = Committed(accepted_root=v.root, accepted_count=v.count, included_root=notary.root(included),
                  included_count=len(included), signers=signers)  # fmt: skip

    # Step 6, each member: check what it is asked against the ledger, open its boxes of U, answer once: the sum of the shares.
    shares = {}
    for member in members:
        question = collector.request(member.address, [client for client, _ in included], receipt=b"")
        told = answer(header, RevealRequest.decode(question.encode()), me=member.address, committed=u,
                      transport=member.transport, notary=notary, signer=member)  # fmt: skip
        shares[member.address] = check_reveal(header, Reveal.decode(told.encode()), included_root=u.included_root,
                                              signers=signers, notary=notary)  # fmt: skip

    # Step 7, anybody: the sum of the secrets, without the answers of liars, and the one sum that it opens. No other sum of this
    # round can ever be opened.
    recovered = recover_key(header, shares, accept=opens(header, collector.sums, len(included)))
    return open_aggregate(header, collector.sums, len(included), recovered.key)
