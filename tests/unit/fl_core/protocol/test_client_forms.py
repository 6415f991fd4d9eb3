"""One contribution is the same bytes in memory, in a file and by several threads, and needs little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fl_core.digests import Label
from fl_core.errors import DecodeError, InputError
from fl_core.protocol.client import contribute, contribute_into
from fl_core.protocol.messages import Frame
from fl_core.protocol.setup import layout_of, quantiser_of
from fl_core.quantise import Block
from fl_core.randomness import Stream
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.encrypt import encrypt
from tests.simulators.dry_round import DryRound

SHAPES = {
    "PACK15 under P2048": {},
    "PACK15 under P4096": {"parameter_set": "P4096"},
    "20 bits under P4096g": {"parameter_set": "P4096g", "packing": "PACK20x16g"},
    "one value": {"blocks": (Block("a", 1, 0.5),)},
}


class Remembering:
    """A random source that remembers what it gave."""

    def __init__(self, source) -> None:
        self.source, self.given = source, []

    def secret(self, size):
        self.given.append(self.source.secret(size))
        return self.given[-1]


def a_round(**shape) -> DryRound:
    return DryRound(4, **{"blocks": (Block("a", 40_000, 0.3), Block("b", 30_001, 0.1)), **shape})


def arguments(dry: DryRound) -> dict[str, object]:
    return {
        "me": dry.parties[1].address,
        "update": np.linspace(-0.4, 0.4, dry.header.parameters, dtype=np.float32),
        "examples": 70,
        "counters": (5,),
        "dataset": bytes(32),
        "transport_keys": tuple(party.transport.public for party in dry.parties),
        "signer": dry.parties[1],
        "random": Remembering(dry.random),
    }


def step_by_step(dry: DryRound, asked: dict[str, object]):
    """The reference: quantise the whole vector, encrypt the whole vector, hash the whole ciphertext."""
    layout, quantiser, seed = layout_of(dry.header), quantiser_of(dry.header), asked["random"].given[0]
    units = quantiser.weight_units(asked["examples"])
    values, clipped = quantiser.quantise(
        asked["update"], units, asked["counters"], Stream(seed, Label.ROUNDING)
    )
    ciphertext, _ = encrypt(layout, dry.header.digest, values, seed)
    return ciphertext.tobytes(), ciphertext_root(layout, ciphertext), clipped


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_in_memory_the_ciphertext_is_that_of_the_steps_one_by_one(shape, threads):
    dry = a_round(**shape)
    asked = arguments(dry)
    made = contribute(dry.header, **asked, threads=threads)
    ciphertext, root, clipped = step_by_step(dry, asked)
    assert (made.frame.ciphertext, made.frame.leaf.statement.ciphertext) == (ciphertext, root)
    assert made.clipped == clipped
    assert clipped > 0 or dry.header.parameters == 1
    dry.deliver(made.frame)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_file_holds_the_frame_in_its_canonical_form(shape, tmp_path):
    dry = a_round(**shape)
    asked = arguments(dry)
    with open(tmp_path / "frame", "w+b") as file:
        made = contribute_into(file, dry.header, **asked)
    data = (tmp_path / "frame").read_bytes()
    frame = dry.collector.decode(data)
    ciphertext, root, clipped = step_by_step(dry, asked)
    assert (frame.ciphertext, frame.leaf.statement.ciphertext) == (ciphertext, root)
    assert (made.clipped, made.frame_bytes, made.leaf) == (clipped, len(data), frame.leaf)
    assert frame.encode() == data
    dry.deliver(frame)
    again = contribute(dry.header, **arguments(a_round(**shape)))
    assert (again.hidden, again.weight_salt.reveal()) == (made.hidden, made.weight_salt.reveal())
    assert again.metrics_salt.reveal() == made.metrics_salt.reveal()


def test_an_update_that_is_not_finite_leaves_nothing_that_could_be_read_as_a_frame(tmp_path):
    dry = a_round()
    asked = arguments(dry)
    asked["update"][70_000] = np.nan
    with open(tmp_path / "frame", "w+b") as file, pytest.raises(InputError, match="block 'b' holds 1 values"):
        contribute_into(file, dry.header, **asked)
    begun = (tmp_path / "frame").read_bytes()
    assert len(begun) > 100_000
    with pytest.raises(DecodeError):
        dry.collector.decode(begun)
    with pytest.raises(DecodeError):
        Frame.decode(begun, ciphertext_bytes=layout_of(dry.header).ciphertext_bytes)


def peak(work) -> int:
    """The most memory that Python and numpy had taken at once during ``work``, above what they had before."""
    tracemalloc.start()
    try:
        kept = work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        del kept


def of_size(size: int) -> tuple[DryRound, dict[str, object]]:
    dry = a_round(parameter_set="P4096", blocks=(Block("w", size, 0.3),))
    return dry, arguments(dry)


def test_into_a_file_memory_does_not_grow_with_the_model(tmp_path):
    def needed(size: int) -> int:
        dry, asked = of_size(size)
        asked["update"].tofile(tmp_path / "update")
        asked["update"] = np.memmap(tmp_path / "update", np.float32, "r")
        with open(tmp_path / "frame", "w+b") as file:
            return peak(lambda: contribute_into(file, dry.header, **asked))

    needed(100_000)  # what is made once per process
    small, large = needed(500_000), needed(5_000_000)
    assert large < small + 50_000
    assert large < 4 << 20


@pytest.mark.parametrize(("threads", "most"), [(1, 1.3), (2, 1.8)])
def test_in_memory_the_ciphertext_is_held_once(threads, most):
    """By two threads the integers too: two bytes a value are two thirds of the ciphertext."""
    dry, asked = of_size(5_000_000)
    size = layout_of(dry.header).ciphertext_bytes
    assert size < peak(lambda: contribute(dry.header, **asked, threads=threads)) < most * size
