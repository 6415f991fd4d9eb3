"""The obligations of ``check_header``, one by one: met, and each broken alone, named by its number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fl_core.errors import VerificationError
from fl_core.protocol.header import Seat
from fl_core.protocol.header_check import MAX_CLIP_GROWTH, LedgerView, MemberView, check_header
from fl_core.protocol.rules import committee_of
from fl_core.quantise import Block
from tests.simulators.consortium import NOW, TERMS

ACCOUNTS = tuple(bytes([i]) * 20 for i in range(1, 7))
COHORT = ACCOUNTS[:4]
WORD = b"\x77" * 32


def key(account: bytes) -> bytes:
    return account[:1] * 32


@pytest.fixture
def world(tmp_path):
    """A header, and all else that ``check_header`` takes, so that every obligation is met."""
    from fl_core.protocol.header import RoundHeader

    header = RoundHeader(
        chain_id=31337,
        contract=b"\xc0" * 20,
        run=WORD,
        round=1,
        parent=b"\x01" * 32,
        artifact=b"\x02" * 32,
        parameter_set=TERMS.parameter_set,
        packing=TERMS.packing,
        blocks=(Block("a", 3, 1.0), Block("b", 2, 1.0)),
        counters=TERMS.counters,
        weight_cap=TERMS.weight_cap,
        cohort=COHORT,
        committee=tuple(Seat(address=a, transport_key=key(a)) for a in COHORT),
        threshold=3,
        n_min=3,
        deadline=NOW + 60,
        beacon_number=50,
        beacon=b"\x03" * 32,
    )
    return World(header)


class World:
    def __init__(self, header):
        self.header = header
        self.arguments = {"terms": TERMS, "model": header.artifact, "me": COHORT[0], "now": NOW}
        self.view = {
            "chain_id": header.chain_id,
            "contract": header.contract,
            "parent": header.parent,
            "artifact": header.artifact,
            "terms": TERMS.digest,
            "beacon": header.beacon,
            "members": {
                a: MemberView(registered_at=40 + i, consented=TERMS.digest) for i, a in enumerate(ACCOUNTS)
            },
        }

    def change(self, **fields):
        """Change the header; the ledger recorded the changed one."""
        self.header = replace(self.header, **fields)

    def member(self, account, **fields):
        members = dict(self.view["members"])
        members[account] = replace(members[account], **fields)
        self.view["members"] = members

    def check(self):
        view = LedgerView(
            header=self.view.get("header", self.header.digest),
            **{k: v for k, v in self.view.items() if k != "header"},
        )
        check_header(self.header, view=view, **self.arguments)

    def cohort(self, accounts, **fields):
        self.change(
            cohort=accounts,
            committee=tuple(Seat(address=a, transport_key=key(a)) for a in accounts),
            **fields,
        )


def refused(world, number, text):
    with pytest.raises(VerificationError, match=rf"header check \({number}\): .*{text}") as caught:
        world.check()
    assert caught.value.party == "coordinator"


def test_a_header_that_meets_every_obligation_is_accepted(world):
    world.check()


@pytest.mark.parametrize("changes", [{"chain_id": 1}, {"contract": bytes(20)}])
def test_1_another_chain_or_contract(world, changes):
    world.change(**changes)
    refused(world, 1, "another chain or contract")


def test_2_another_header_than_the_recorded_one(world):
    world.view["header"] = replace(world.header, deadline=NOW + 61).digest
    refused(world, 2, "recorded another header")


@pytest.mark.parametrize("changes", [{"parent": WORD}, {"artifact": WORD}])
def test_3_another_model_than_the_ledgers(world, changes):
    world.change(**changes)
    refused(world, 3, "not the ledger's model")


def test_3_another_model_file_than_the_headers(world):
    world.arguments["model"] = WORD
    refused(world, 3, "the received model")


def test_4_a_holder_outside_of_the_cohort(world):
    world.arguments["me"] = ACCOUNTS[5]
    refused(world, 4, "not in the cohort")


def test_4_the_deadline_is_the_last_second(world):
    world.arguments["now"] = world.header.deadline
    world.check()
    world.arguments["now"] += 1
    refused(world, 4, "deadline has passed")


def test_5_terms_that_this_holder_did_not_accept(world):
    world.arguments["terms"] = replace(TERMS, title="Others")
    refused(world, 5, "not those that this holder accepted")


def test_5_a_client_that_has_not_consented(world):
    for consented in (bytes(32), WORD):
        world.member(COHORT[2], consented=consented)
        refused(world, 5, f"{COHORT[2].hex()} has not consented")


def test_5_a_client_that_is_no_member(world):
    del world.view["members"][COHORT[3]]
    refused(world, 5, f"{COHORT[3].hex()} has not consented")


def test_6_a_committee_other_than_the_one_that_the_beacon_draws(world):
    accounts = tuple(bytes([i]) * 20 for i in range(1, 18))
    world.view["members"] = {a: MemberView(registered_at=1, consented=TERMS.digest) for a in accounts}
    world.cohort(accounts, threshold=12, n_min=12)
    refused(world, 6, "not the one that the beacon draws")
    header = world.header
    drawn = committee_of(accounts, run=header.run, round_number=header.round, beacon=header.beacon)
    assert len(drawn) == 16
    world.change(committee=tuple(Seat(address=a, transport_key=key(a)) for a in drawn), threshold=11)
    world.check()
    world.cohort(accounts[:16], threshold=11, n_min=11)
    world.check()


def test_6_a_committee_that_is_not_the_cohort(world):
    stranger = Seat(address=ACCOUNTS[4], transport_key=key(ACCOUNTS[4]))
    for committee in (
        world.header.committee[:3],
        (*world.header.committee, stranger),
        (*world.header.committee[:3], stranger),
    ):
        changed = World(world.header)
        changed.change(committee=committee, threshold=3)
        refused(changed, 6, "not the one that the beacon draws")


@pytest.mark.parametrize("threshold", [1, 2, 4])
def test_6_a_threshold_that_is_lower_or_higher_than_the_rule(world, threshold):
    world.change(threshold=threshold)
    refused(world, 6, "threshold")


def test_6_fewer_contributions_than_the_rule_or_the_terms_demand(world):
    world.change(n_min=2)
    refused(world, 6, "smaller than 3")
    world.change(n_min=3)
    world.arguments["terms"] = replace(TERMS, n_min=4)
    world.view["terms"] = world.arguments["terms"].digest
    for account in COHORT:
        world.member(account, consented=world.view["terms"])
    refused(world, 6, "smaller than 4")
    world.change(n_min=4)
    world.check()


def test_6_two_clients_are_never_enough(world):
    world.cohort(COHORT[:2], threshold=2, n_min=2)
    refused(world, 6, "smaller than 3")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"parameter_set": "P4096"}, "other parameters"),
        ({"packing": "PACK"}, "other parameters"),
        ({"blocks": (Block("a", 3, 1.0),)}, "other tensors"),
        ({"blocks": (Block("b", 2, 1.0), Block("a", 3, 1.0))}, "other tensors"),
        ({"blocks": (Block("a", 3, 1.0), Block("b", 3, 1.0))}, "other tensors"),
        ({"counters": ()}, "other counters"),
        ({"counters": ("right", "extra")}, "other counters"),
        ({"weight_cap": 999}, "other counters or weights"),
    ],
)
def test_7_other_parameters_than_in_the_terms(world, changes, text):
    world.change(**changes)
    refused(world, 7, text)


@pytest.mark.parametrize(
    ("clip", "allowed"),
    [(0.25, True), (0.2499, False), (MAX_CLIP_GROWTH, True), (MAX_CLIP_GROWTH * 1.01, False)],
)
def test_7_a_clip_outside_of_its_range(world, clip, allowed):
    world.change(blocks=(Block("a", 3, 1.0), Block("b", 2, clip)))
    if allowed:
        world.check()
    else:
        refused(world, 7, "clip lies outside")


def test_8_a_beacon_that_is_no_block_of_this_chain(world):
    world.change(beacon=WORD)
    refused(world, 8, "not a block of this chain")


def test_8_a_beacon_older_than_a_committee_key(world):
    world.member(COHORT[1], registered_at=world.header.beacon_number)
    refused(world, 8, "older than a committee key")
    world.member(COHORT[1], registered_at=world.header.beacon_number - 1)
    world.check()


def test_the_obligations_are_checked_in_their_order(world):
    world.change(chain_id=1, parent=WORD, threshold=1, beacon=WORD)
    world.view["header"] = WORD
    refused(world, 1, "")
