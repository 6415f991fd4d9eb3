"""Validators that members vote in and out are followed; a set that the one before did not agree to is refused."""

from __future__ import annotations

import pytest

from fl_core.errors import VerificationError
from ledger.chain.jsonrpc import data, to_bytes
from ledger.light import succession
from ledger.light.qbft import ExtraData, Vote
from ledger.light.succession import EPOCH_BLOCKS, follow
from tests.simulators.qbft_chain import Validators, VotingChain

FOUR = Validators(4)
NEWCOMER = Validators(1, "newcomer")
FIVE = FOUR.joined(NEWCOMER)
GUEST = NEWCOMER.address(0)
LEAVER = FOUR.address(0)
PLACE = sorted(FIVE.addresses).index(LEAVER)
OTHERS = [n for n in range(5) if n != PLACE]


@pytest.fixture
def chain() -> VotingChain:
    """Three blocks of four validators."""
    made = VotingChain(FOUR)
    for _ in range(2):
        made.add(FOUR)
    return made


def refused(words: str, chain: VotingChain, *, epoch: int = EPOCH_BLOCKS) -> None:
    with pytest.raises(VerificationError, match=words):
        follow(chain.ancestors(), FOUR.addresses, epoch)


# ---------------------------------------------------------------------- what Besu would accept


def test_the_pinned_validators_are_enough_where_nothing_changed(chain: VotingChain) -> None:
    found = follow(chain.ancestors(), FOUR.addresses, EPOCH_BLOCKS)
    assert (found.validators, found.changes, found.pinned_until) == (FOUR.addresses, 0, 2)
    assert len(found.signers) == 3


def test_a_validator_is_voted_in_by_more_than_half(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.add(FIVE)
    chain.add(FIVE, proposer=4)
    found = follow(chain.ancestors(), FOUR.addresses, EPOCH_BLOCKS)
    assert (found.validators, found.changes, found.pinned_until) == (FIVE.addresses, 1, 5)
    assert len(found.signers) == 4  # five need four


def test_a_validator_is_voted_out_and_its_votes_go_with_it(chain: VotingChain) -> None:
    three, stranger = FOUR.without(3), Validators(1, "stranger").address(0)
    chain.vote(FOUR, stranger, add=True, voters=(3,))
    chain.vote(FOUR, FOUR.address(3), add=False, voters=(0, 1, 2))
    chain.add(three, vote=Vote(subject=stranger, add=True))
    chain.add(three)  # with the vote of the one that left, the stranger would be in now
    found = follow(chain.ancestors(), FOUR.addresses, EPOCH_BLOCKS)
    assert (found.validators, found.changes) == (three.addresses, 1)


def test_several_changes_in_a_row_are_followed(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.vote(FIVE, LEAVER, add=False, voters=OTHERS[:3])
    rest = FIVE.without(PLACE)
    chain.add(rest)
    found = follow(chain.ancestors(), FOUR.addresses, EPOCH_BLOCKS)
    assert (found.validators, found.changes, found.pinned_until) == (rest.addresses, 2, 5)


def test_pins_of_a_later_time_count_from_there(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.add(FIVE)
    chain.vote(FIVE, LEAVER, add=False, voters=OTHERS[:3])
    chain.add(FIVE.without(PLACE))
    found = follow(chain.ancestors(), FIVE.addresses, EPOCH_BLOCKS)
    assert (found.changes, found.pinned_until) == (1, 9)


def test_the_count_begins_with_the_epoch_and_no_header_below_it_is_asked_for(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0,))  # block 3: lapses with block 4
    chain.add(FOUR)
    chain.vote(FOUR, GUEST, add=True, voters=(1, 2, 3))
    chain.add(FIVE)
    ancestors = chain.ancestors()
    assert follow(ancestors, FOUR.addresses, 4).changes == 1
    assert next(ancestors).number == 3


# ---------------------------------------------------------------------- forgeries


def test_a_set_that_nobody_voted_for_is_refused(chain: VotingChain) -> None:
    strangers = Validators(4, "stranger")
    chain.add(strangers)
    refused("block 3 is by 4 validators that those before did not vote for", chain)


def test_one_validator_more_than_was_voted_for_is_refused(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.add(FIVE.joined(Validators(1, "stranger")))
    refused("block 6 is by 6 validators", chain)


def test_another_than_the_elected_one_is_refused(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.add(FOUR.joined(Validators(1, "stranger")))
    refused("did not vote for", chain)


def test_half_of_the_votes_do_not_elect(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1))
    chain.add(FIVE)
    refused("block 5 is by 5 validators", chain)


def test_one_proposer_has_one_vote(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 0, 0))
    chain.add(FIVE)
    refused("did not vote for", chain)


def test_a_vote_that_was_taken_back_does_not_count(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1))
    chain.vote(FOUR, GUEST, add=False, voters=(0,))
    chain.vote(FOUR, GUEST, add=True, voters=(2,))
    chain.add(FIVE)
    refused("did not vote for", chain)


def test_votes_of_an_earlier_epoch_do_not_count(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1))  # blocks 3 and 4; 4 begins an epoch
    chain.vote(FOUR, GUEST, add=True, voters=(2, 3))
    chain.add(FIVE)
    refused("block 7 is by 5 validators", chain, epoch=4)


def test_votes_of_strangers_do_not_count(chain: VotingChain) -> None:
    """Headers that the old set sealed, with somebody else as proposer: Besu's validators would never seal such."""
    chain.add(FOUR)
    stranger = Validators(4, "stranger")
    forged = FOUR.block(number=4, parent=to_bytes(chain.blocks[-1]["hash"]))
    forged["miner"] = stranger.block()["miner"]
    chain.blocks.append(FOUR.seal(forged, range(3)))
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.add(FIVE)
    refused("block 4 was proposed by none of its validators", chain)


def test_a_set_is_refused_whose_election_the_old_one_did_not_seal(chain: VotingChain) -> None:
    """Anybody can write votes into headers; the old set's seals on the last of them make them an election."""
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1))
    chain.add(FOUR, proposer=2, vote=Vote(subject=GUEST, add=True), seals=2)
    chain.add(FIVE)
    refused("block 5: 2 of the 3 seals", chain)


def test_the_election_may_be_sealed_by_too_few_of_the_new_set_only(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.add(FIVE, seals=3)
    refused("block 6: 3 of the 4 seals", chain)


def test_a_set_that_shrank_below_what_was_voted_is_refused(chain: VotingChain) -> None:
    """Two validators left where one was voted out: the two that remain would be their own quorum."""
    chain.vote(FOUR, FOUR.address(3), add=False, voters=(0, 1, 2))
    chain.add(FOUR.without(2, 3))
    refused("block 6 is by 2 validators", chain)


def test_a_change_in_between_must_be_sealed_by_its_own_set(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.vote(FIVE, LEAVER, add=False, voters=OTHERS[:2])
    chain.add(FIVE, proposer=OTHERS[2], vote=Vote(subject=LEAVER, add=False), seals=0)
    chain.add(FIVE.without(PLACE))
    refused("block 8: 0 of the 4 seals", chain)


def test_a_header_without_validators_is_refused(chain: VotingChain) -> None:
    """As on a network that keeps its validators in a contract: no seal would be needed of nobody."""
    nobody = FOUR.block(number=3, parent=to_bytes(chain.blocks[-1]["hash"]))
    nobody["extraData"] = data(ExtraData(validators=()).encode())
    chain.blocks.append(FOUR.with_seals(nobody, []))
    refused("block 3 names no validators", chain)


def test_a_header_of_another_kind_of_chain_is_refused(chain: VotingChain) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.add(FIVE)
    chain.blocks[1]["mixHash"] = "0x" + "00" * 32
    refused("block 1 is not one of a QBFT chain", chain)


# ---------------------------------------------------------------------- limits


def test_validators_that_made_no_block_are_refused(chain: VotingChain) -> None:
    with pytest.raises(VerificationError, match="made no block up to block 2") as caught:
        follow(chain.ancestors(), Validators(4, "stranger").addresses, EPOCH_BLOCKS)
    assert "pin those" in caught.value.fix


def test_a_way_that_is_too_long_ends_with_what_to_do(
    chain: VotingChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.vote(FOUR, GUEST, add=True, voters=(0, 1, 2))
    chain.add(FIVE)
    monkeypatch.setattr(succession, "MAX_FOLLOWED", 7)  # blocks 6 to 0
    assert follow(chain.ancestors(), FOUR.addresses, EPOCH_BLOCKS).changes == 1
    monkeypatch.setattr(succession, "MAX_FOLLOWED", 6)
    with pytest.raises(VerificationError, match="6 headers do not lead from block 6") as caught:
        follow(chain.ancestors(), FOUR.addresses, EPOCH_BLOCKS)
    assert "pin those" in caught.value.fix
