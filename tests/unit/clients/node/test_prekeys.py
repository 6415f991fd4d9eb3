"""A node's prekeys: one for each epoch, found again after a restart, and gone when their epoch is over."""

from __future__ import annotations

import os

import pytest

from clients.errors import NodeStateError, PolicyRefusal
from clients.node.prekeys import KEEP_S, Prekeys
from fl_core.errors import VerificationError
from fl_core.protocol.setup import transport_key_digest
from fl_core.secagg import boxes
from fl_core.secagg.boxes import TransportPrivateKey
from fl_core.secret import Secret
from tests.simulators.insecure_random import InsecureRandomSource


class World:
    """One folder of prekeys, a clock, and processes that come and go."""

    def __init__(self, folder):
        self.folder = folder / "prekeys"
        self.now = 1_000_000_000
        self.random = InsecureRandomSource("prekeys")
        self.prekeys = self.start()

    def start(self):
        self.prekeys = Prekeys(self.folder, random=self.random, clock=lambda: self.now)
        return self.prekeys

    def files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def seed(self, epoch):
        return (self.folder / f"{epoch:08d}.seed").read_bytes()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def digest_of(found):
    return transport_key_digest(found[1].public)


def gone(prekeys, digest):
    with pytest.raises(PolicyRefusal, match="no such prekey, or has erased it"):
        prekeys.named(digest)


def test_the_first_prekey_is_made_when_it_is_asked_for_and_stays_the_newest(world):
    assert world.files() == []
    epoch, pair = world.prekeys.newest()
    assert epoch == 1
    assert world.prekeys.newest() == (1, pair)
    assert world.files() == ["00000001.seed"]


def test_only_the_owner_reads_the_seeds(world):
    world.prekeys.newest()
    assert world.folder.stat().st_mode & 0o777 == 0o700
    assert (world.folder / "00000001.seed").stat().st_mode & 0o777 == 0o600


def test_a_prekey_is_found_by_the_digest_that_a_seat_names_and_no_other_is(world):
    found = world.prekeys.newest()
    assert world.prekeys.named(digest_of(found)) == found
    gone(world.prekeys, bytes(32))


def test_to_begin_with_the_newest_prekey_makes_the_next_and_keeps_this_one(world):
    first = world.prekeys.newest()
    world.prekeys.begin(1)
    second = world.prekeys.newest()
    assert second[0] == 2
    assert digest_of(second) != digest_of(first)
    assert world.prekeys.named(digest_of(first)) == first


def test_to_begin_the_same_round_again_changes_nothing(world):
    world.prekeys.newest()
    world.prekeys.begin(1)
    before = world.files(), world.seed(1), world.seed(2)
    world.prekeys.begin(1)
    assert (world.files(), world.seed(1), world.seed(2)) == before


def test_to_begin_with_a_newer_prekey_erases_the_older_ones(world):
    first = digest_of(world.prekeys.newest())
    world.prekeys.begin(1)
    second = digest_of(world.prekeys.newest())
    world.prekeys.begin(2)
    gone(world.prekeys, first)
    assert world.prekeys.named(second)[0] == 2
    assert world.prekeys.newest()[0] == 3


def test_an_erased_seed_is_nowhere_in_the_folder_and_was_overwritten_before_its_file_went(world):
    """A hard link stands for the blocks that a deleted file leaves behind."""
    world.prekeys.newest()
    world.prekeys.begin(1)
    seed, kept = world.seed(1), world.folder.parent / "blocks"
    os.link(world.folder / "00000001.seed", kept)
    world.prekeys.begin(2)
    assert world.files() == ["00000002.seed", "00000003.seed"]
    assert kept.read_bytes() == bytes(len(seed))
    assert not [path for path in world.folder.rglob("*") if seed in path.read_bytes()]


def test_an_erased_prekey_opens_nothing_any_more_and_did_before(world):
    epoch, pair = world.prekeys.newest()
    digest, box = digest_of((epoch, pair)), boxes.seal(pair.public, b"info", b"a share")
    assert world.prekeys.named(digest)[1].open(b"info", box).reveal() == b"a share"
    world.prekeys.begin(1)
    world.prekeys.begin(2)
    gone(world.prekeys, digest)
    for left in world.files():
        with pytest.raises(VerificationError):
            other = TransportPrivateKey.from_seed(Secret(world.seed(int(left[:8]))))
            other.open(b"info", box)


def test_a_new_process_has_the_same_prekeys_and_the_erased_one_stays_erased(world):
    first = digest_of(world.prekeys.newest())
    world.prekeys.begin(1)
    second = digest_of(world.prekeys.newest())
    again = world.start()
    assert (again.named(first)[0], digest_of(again.newest())) == (1, second)
    again.begin(2)
    third = digest_of(again.newest())
    once_more = world.start()
    gone(once_more, first)
    assert (once_more.named(second)[0], digest_of(once_more.newest())) == (2, third)


def test_a_process_that_died_before_it_made_the_next_prekey_goes_on_with_the_one_it_has(world):
    world.prekeys.newest()
    world.prekeys.begin(1)
    (world.folder / "00000002.seed").unlink()
    again = world.start()
    again.begin(1)
    assert again.newest()[0] == 2


def test_a_day_after_the_newest_was_made_the_older_ones_are_erased_and_not_earlier(world):
    first = digest_of(world.prekeys.newest())
    world.prekeys.begin(1)
    world.now += KEEP_S - 60
    assert world.prekeys.newest()[0] == 2
    assert world.prekeys.named(first)[0] == 1
    world.now += 120
    assert world.prekeys.newest()[0] == 2
    gone(world.prekeys, first)
    assert world.files() == ["00000002.seed"]


def test_a_day_later_a_seat_names_the_older_one_in_vain_also_if_nobody_asked_for_the_newest(world):
    first = digest_of(world.prekeys.newest())
    world.prekeys.begin(1)
    world.now += KEEP_S + 1
    gone(world.start(), first)
    assert world.files() == ["00000002.seed"]


def test_a_node_that_nobody_calls_erases_them_as_well(world):
    world.prekeys.newest()
    world.prekeys.begin(1)
    world.prekeys.sweep()
    assert world.files() == ["00000001.seed", "00000002.seed"]
    world.now += KEEP_S + 1
    world.prekeys.sweep()
    assert world.files() == ["00000002.seed"]


def test_the_only_prekey_is_kept_however_old_it_is(world):
    first = digest_of(world.prekeys.newest())
    world.now += 100 * KEEP_S
    assert digest_of(world.prekeys.newest()) == first


@pytest.mark.parametrize("damage", [b"", b"short", bytes(33)])
def test_a_damaged_seed_is_an_error_that_says_what_to_do(world, damage):
    digest = digest_of(world.prekeys.newest())
    (world.folder / "00000001.seed").write_bytes(damage)
    again = world.start()
    for ask in (again.newest, lambda: again.named(digest)):
        with pytest.raises(NodeStateError, match=r"00000001\.seed is damaged") as caught:
            ask()
        assert "Delete it" in caught.value.fix


def test_once_the_damaged_file_is_deleted_the_node_makes_a_new_prekey(world):
    first = digest_of(world.prekeys.newest())
    (world.folder / "00000001.seed").write_bytes(b"short")
    (world.folder / "00000001.seed").unlink()
    assert digest_of(world.start().newest()) != first


def test_a_damaged_seed_can_be_erased(world):
    world.prekeys.newest()
    world.prekeys.begin(1)
    (world.folder / "00000001.seed").write_bytes(b"short")
    world.start().begin(2)
    assert world.files() == ["00000002.seed", "00000003.seed"]


def test_other_files_in_the_folder_are_left_alone(world):
    (world.folder / ".DS_Store").write_bytes(b"x")
    (world.folder / "notes.seed").write_bytes(b"y")
    assert world.prekeys.newest()[0] == 1
    world.prekeys.begin(1)
    world.prekeys.begin(2)
    assert world.files() == [".DS_Store", "00000002.seed", "00000003.seed", "notes.seed"]


def test_prekeys_are_not_printed(world):
    world.prekeys.newest()
    assert "redacted" in repr(world.prekeys)
    assert world.seed(1).hex() not in repr(vars(world.prekeys))
