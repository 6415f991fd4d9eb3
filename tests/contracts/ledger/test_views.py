"""``proposalId``, ``keys``, ``runs``, ``round``, ``models``, ``modelId``, ``lineage``: reading."""

from ledger.records import EMPTY_ADDRESS, EMPTY_WORD, Act, Role, RoundState, RunState
from ledger.typed_data import model_id
from tests.contracts.harness import account, word
from tests.contracts.world import World


def test_the_proposal_id_is_the_one_that_votes_are_counted_under(world: World) -> None:
    proposal = world.view("proposalId", int(Act.ADMIT), account("eve"), int(Role.HOLDER), word("why"))
    world.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER, info=word("why"), voters=("ada",))
    assert world.event().values["proposal"] == proposal
    assert world.view("votes", proposal) == 1
    assert world.view("voted", proposal, account("ada")) is True
    assert world.view("voted", proposal, account("ben")) is False


def test_who_has_no_keys_has_empty_ones(world: World) -> None:
    assert world.view("keys", account("ada")) == {
        "signer": EMPTY_ADDRESS,
        "encryption": EMPTY_WORD,
        "block": 0,
    }


def test_what_does_not_exist_reads_as_empty(world: World) -> None:
    assert world.view("runs", word("no run"))["state"] == RunState.NONE
    assert world.view("round", word("no run"), 1)["state"] == RoundState.NONE
    assert world.view("models", word("no model"))["run"] == EMPTY_WORD
    assert world.view("member", account("anyone")) == {"roles": 0, "epoch": 0, "since": 0}


def test_the_model_id_is_that_of_the_typed_data(world: World) -> None:
    expected = model_id(word("run"), 2**32 - 1, word("file"))
    assert world.view("modelId", word("run"), 2**32 - 1, word("file")) == expected


def test_the_lineage_goes_back_to_the_root_across_runs(world: World, run: bytes) -> None:
    world.play(run, 1)
    first = model_id(run, 1, word("artifact 1"))
    other = world.ready_run(terms=word("other terms"))
    world.open(other, 1, first)
    world.commit(other, 1)
    world.include(other, 1)
    second = world.finalise(other, 1)
    assert list(world.view("lineage", second)) == [first, model_id(run, 0, word("root"))]
    assert list(world.view("lineage", model_id(run, 0, word("root")))) == []
    assert list(world.view("lineage", word("no model"))) == []


def test_a_long_lineage_is_read_in_pieces(world: World, run: bytes) -> None:
    chain = [model_id(run, 0, word("root"))]
    for n in range(1, 67):
        world.open(run, n, chain[-1])
        world.commit(run, n)
        world.include(run, n)
        chain.append(world.finalise(run, n))
    newest_first = chain[::-1]
    piece = list(world.view("lineage", newest_first[0]))
    assert piece == newest_first[1:65]
    assert list(world.view("lineage", piece[-1])) == newest_first[65:]
