"""Throws mutated messages at every decoder: ``python -m tests.fuzz_decoders [--inputs N] [--seed S] [TARGET ...]``.

A decoder may return a message, whose encoding must then be the input, or raise ``DecodeError`` (where it also checks,
``VerificationError``); anything else is a finding and ends the run with the input; the same seed finds it again. The corpus
is a few honest messages of each kind, made here, and what is known to be nasty in JSON. Which decoder of the product is which
target is listed in ``tests/architecture/decoders.py``; a test finds decoders that are in neither of its lists.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import rlp
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader
from eth_utils.crypto import keccak
from flwr.proto.message_pb2 import Metadata
from hypothesis import HealthCheck, Phase, given, seed, settings
from trie import HexaryTrie
from trie.constants import BLANK_NODE_HASH

from clients.calls import QuestionCall
from clients.gateway.compose import error_reply, sealed_reply
from clients.gateway.kept import Kept
from clients.gateway.objects import chunk_ids, decode_object, encode_object
from clients.gateway.ports import Sealed
from clients.node.signed_manifest import SignedManifest
from fl_core.errors import DecodeError, VerificationError
from fl_core.lattice.parameters import P2048, PACK15
from fl_core.models import decode_model, encode_model
from fl_core.protocol.check_messages import decode_values, encode_values
from fl_core.protocol.relay import Answer as RelayAnswer
from fl_core.protocol.relay import (
    BlocksAsked,
    Call,
    CallKind,
    Duty,
    DutyKind,
    Poll,
    read_checkpoints,
    write_checkpoints,
)
from fl_core.secagg import shamir
from fl_core.secagg.boxes import TransportPrivateKey, check_public_key, seal
from fl_core.secagg.ckks.keys import HolderKey, PublicContext
from fl_core.secagg.ckks.parameters import CKKS2048
from fl_core.secagg.ckks.steps import CkksStep, decode_step, encode_step
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.layout import Layout
from fl_core.secret import Secret
from ledger.chain import abi
from ledger.chain.embedded.block import WireBlock
from ledger.checkpoints import SignedCheckpoint
from ledger.documents import decode_rewards, encode_rewards, metrics_salt
from ledger.light.proofs import prove_account, prove_slot
from ledger.light.qbft import ExtraData, Vote, genesis_extra_data
from ledger.logbook import Entry as LogbookEntry
from tests.simulators.generated_ckks_messages import BEGIN_CALL, CKKS_KINDS
from tests.simulators.generated_messages import KINDS, Kind

CORPUS = 12
"""Honest messages of each kind."""

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
NASTY_JSON = (
    b"null", b"[]", b"{}", b"1e999", b"NaN", b"-Infinity", b"true", b'"\\ud800"', b"1" * 5000, b"1" * 400, b"[" * 3000,
    b'{"format":' * 500, b'"\\u0000"', b"0.1", b"-0.0", b"-1", b'{"a":1,"a":2}', b"\xff\xfe", b"\xef\xbb\xbf{}",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A decoder, honest inputs of it, and how what it returns is encoded again where that is not ``encode``."""

    decode: Callable[[bytes], Any]
    corpus: tuple[bytes, ...]
    again: Callable[[Any], bytes] | None = None


class Finding(AssertionError):
    """A decoder did something else than to decode or to refuse."""


def _kept_replies() -> tuple[bytes, ...]:
    asked = Metadata(
        run_id=1, message_id="ab" * 32, src_node_id=1, dst_node_id=2, ttl=600, message_type="train"
    )
    error = error_reply(asked, code=2, reason="no", now=6)
    item = Sealed(name="frame", digest=bytes(32), size=6, read=lambda: iter((b"sealed",)))
    reply = sealed_reply(
        asked, sealed=item, chunks=chunk_ids(item.read()), times={"train_ms": 5}, status=b"{}", now=6
    )
    facts: dict[str, str | int] = {"kind": "frame", "bytes": 6}
    return (
        Kept.of(error, "error-sent", {"code": 2}, superlink="http://[::1]:9092", bundle=b"").encode(),
        Kept.of(reply, "reply-sent", facts, superlink="https://a.example:9092", bundle=bytes(32)).encode(),
    )


def _of_relay_and_gateway() -> dict[str, Target]:
    """What the relay and a node say to each other, what a SuperNode hands to the gateway, and what that keeps on disk."""
    call = Call(
        chain_id=5,
        contract=bytes(20),
        member=bytes(range(20)),
        kind=CallKind.ANSWER,
        stamp=1,
        payload=b"payload",
        signature=bytes(65),
    )
    duty = Duty(number=1, kind=DutyKind.REVEAL, request=b"request")
    return {
        "Flower's object": Target(
            decode_object,
            (encode_object("RecordDict", ("ab" * 32,), b"{}"), encode_object("ArrayChunk", (), b"data")),
            lambda found: encode_object(found.kind, found.children, found.body),
        ),
        "kept reply": Target(Kept.decode, _kept_replies()),
        "relay call": Target(Call.decode, (call.encode(),)),
        "checkpoints": Target(read_checkpoints, (write_checkpoints((b"one", b"")),), write_checkpoints),
        "poll": Target(Poll.decode, (Poll(wait_ms=5, status=b"{}").encode(),)),
        "duty": Target(Duty.decode, (duty.encode(),)),
        "answer to a duty": Target(
            RelayAnswer.decode, (RelayAnswer(number=1, given=True, data=b"a").encode(),)
        ),
        "question for blocks": Target(
            BlocksAsked.decode, (BlocksAsked(first=1, limit=9, wait_ms=0).encode(),)
        ),
    }


def examples(kind: Kind) -> tuple[bytes, ...]:
    """Return :data:`CORPUS` encoded messages, always the same ones."""
    found: list[bytes] = []

    @seed(20)
    @settings(
        max_examples=CORPUS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind.made)
    def collect(message: Any) -> None:
        found.append(message.encode())

    collect()
    return tuple(found)


def _documents() -> dict[str, Target]:
    rewards = encode_rewards(bytes(32), {b"\x01" * 20: 5, b"\x02" * 20: 2**90})
    entry = LogbookEntry(
        n=3, time=1, kind="frame", run="0a" * 32, round=1, size=9, digest="0b" * 32, to="0c" * 20,
        anchor=2, hidden="0d" * 32, previous="0e" * 32,
    )  # fmt: skip
    manifest = SignedManifest(
        holder="0a" * 20, name="one", task="t", columns="a,b", records=2, commitment="0b" * 32, source="",
        created=1, signature="0c" * 65,
    )  # fmt: skip
    salted = b'{"format":"suture-metrics-v1","salt":"' + b"00" * 32 + b'"}'
    model = encode_model({"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((), np.float32)})
    return {
        "data-set manifest": Target(SignedManifest.decode, (manifest.encode(),), SignedManifest.encode),
        "logbook entry": Target(LogbookEntry.decode, (entry.encode(),), LogbookEntry.encode),
        "rewards": Target(decode_rewards, (rewards,)),
        "metrics": Target(metrics_salt, (salted,)),
        "model": Target(lambda data: decode_model(data, 1 << 20), (model,)),
    }


def header_of(number: int) -> ShanghaiBlockHeader:
    """Return a block's header whose fields are all as small as they may be."""
    return ShanghaiBlockHeader(
        difficulty=0, block_number=number, gas_limit=30_000_000, timestamp=1, base_fee_per_gas=0
    )


def _raw() -> dict[str, Target]:
    """Bytes that are no message of their own: vectors, ciphertexts, keys, what the ledger's node answers."""
    layout = Layout(params=P2048, packing=PACK15, length=5)
    vector = shamir.encode_vector(P2048, np.arange(P2048.degree, dtype=np.uint64) * np.uint64(2**42))
    ciphertext = encrypt(layout, bytes(32), np.zeros(5, np.uint16), Secret(bytes(32)))[0].tobytes()
    transport = TransportPrivateKey.from_seed(Secret(bytes(32)))
    checkpoint = SignedCheckpoint(
        member=bytes(20), genesis=bytes(32), number=7, hash=bytes(32), signature=bytes(65)
    )
    blocks = [
        WireBlock(header=rlp.encode(header_of(number)), transaction=b"signed" * number) for number in (0, 1)
    ]
    types = ("uint256", "address", "bytes32[]", "string", "(uint8,bytes)[]")
    answer = abi.encode(types, (7, bytes(20), [bytes(32)] * 2, "why", [(1, b"abc")]))
    return {
        "vector": Target(
            lambda data: shamir.decode_vector(P2048, data),
            (vector,),
            lambda residues: shamir.encode_vector(P2048, residues),
        ),
        "values": Target(decode_values, (encode_values((0, 5, 2**64 - 1)),), encode_values),
        "ciphertext": Target(lambda data: Accumulator(layout).add(data), (ciphertext,)),
        "transport key": Target(check_public_key, (transport.public,)),
        "box": Target(lambda data: transport.open(b"", data), (seal(transport.public, b"", b"share"),)),
        **_of_relay_and_gateway(),
        "question call": Target(QuestionCall.decode, (b"question",)),
        "block": Target(WireBlock.decode, tuple(block.encode() for block in blocks)),
        "checkpoint": Target(SignedCheckpoint.decode, (checkpoint.encode(),)),
        "contract's answer": Target(
            lambda data: abi.decode(types, data), (answer,), lambda values: abi.encode(types, values)
        ),
        "contract's reason": Target(
            abi.revert_reason, (b"\x08\xc3y\xa0" + abi.encode(("string",), ("no",)),)
        ),
        "CKKS step": Target(
            decode_step, (encode_step(CkksStep.TAKE, b"payload"),), lambda step: encode_step(*step)
        ),
    }


def _proofs() -> dict[str, Target]:
    """What a node says when it proves something: trie nodes whose hash is the root, and the extra data of a header."""
    account, slot = keccak(bytes(20)), keccak(bytes(32))
    state, storage = HexaryTrie({}), HexaryTrie({})
    state[account] = rlp.encode([b"\x01", b"", BLANK_NODE_HASH, keccak(b"")])
    storage[slot] = rlp.encode(b"\x07")
    leaves = [rlp.encode(trie.get_proof(key)[0]) for trie, key in ((state, account), (storage, slot))]
    extra = ExtraData(
        validators=(bytes(20), b"\x01" * 20),
        vote=Vote(subject=bytes(20), add=True),
        round=300,
        seals=(b"\x02" * 65,),
    )
    return {
        "account proof": Target(lambda data: prove_account(keccak(data), bytes(20), (data,)), (leaves[0],)),
        "slot proof": Target(lambda data: prove_slot(keccak(data), 0, (data,)), (leaves[1],)),
        "QBFT extra data": Target(ExtraData.decode, (extra.encode(), genesis_extra_data([bytes(20)]))),
    }


def _seal() -> dict[str, Target]:
    """What is handed to SEAL's own parsers."""
    key = HolderKey.generate(CKKS2048, 4)
    public = key.public()
    chunk = key.encrypt(np.linspace(-1, 1, CKKS2048.slots))[0]
    return {
        "CKKS context": Target(lambda data: PublicContext.decode(CKKS2048, 4, data), (public.encode(),)),
        "CKKS ciphertext": Target(lambda data: key.decrypt([data], 5), (chunk,)),
        "CKKS key": Target(lambda data: HolderKey.load(CKKS2048, 4, Secret(data)), (key.secret().reveal(),)),
    }


ALL_KINDS = (*KINDS, *CKKS_KINDS, BEGIN_CALL)

TARGETS: dict[str, Target] = (
    {kind.name: Target(kind.decode, examples(kind)) for kind in ALL_KINDS}
    | _documents()
    | _raw()
    | _proofs()
    | _seal()
)
"""Decoders by name."""


def check(name: str, data: bytes) -> bool:
    """Give one input to one decoder; return whether it was a message.

    Raises:
        Finding: The decoder raised something else, or read bytes that are not what the message encodes to.
    """
    try:
        message = TARGETS[name].decode(data)
    except (DecodeError, VerificationError):
        return False
    except Exception as error:
        raise Finding(f"{name}: {type(error).__name__}: {error} for {_shown(data)}") from error
    if _encoded_again(TARGETS[name], message) not in (None, data):
        raise Finding(f"{name}: another encoding of a message was read: {_shown(data)}")
    return True


def _encoded_again(target: Target, message: Any) -> bytes | None:
    """Return the encoding of what was decoded, or None where it has none."""
    if target.again is not None:
        return target.again(message)
    return message.encode() if hasattr(message, "encode") and not isinstance(message, str) else None


def _shown(data: bytes) -> str:
    """Return the input in hexadecimal, the middle of a long one left out: target and seed give it again."""
    return data.hex() if len(data) <= 400 else f"{data[:300].hex()}...{data[-60:].hex()} ({len(data)} bytes)"


def mutate(data: bytes, corpus: tuple[bytes, ...], rng: random.Random) -> bytes:
    """Return ``data`` with one to four changes: bits, numbers, cuts, repeats, splices, pieces of nasty JSON."""
    mutated = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(mutated) + 1)
        match rng.randrange(7):
            case 0 if mutated:
                mutated[at % len(mutated)] ^= 1 << rng.randrange(8)
            case 1:
                size = rng.choice((1, 2, 4, 8))
                mutated[at : at + size] = (rng.choice(NUMBERS) % (1 << 8 * size)).to_bytes(size, "big")
            case 2:
                del mutated[at : at + rng.randint(1, 40)]
            case 3:
                mutated[at:at] = mutated[at : at + rng.randint(1, 40)]
            case 4:
                other = rng.choice(corpus)
                mutated[at:] = other[rng.randrange(len(other) + 1) :]
            case 5:
                end = rng.choice([i for i, byte in enumerate(mutated) if byte in b",}]:"] or [at])
                mutated[at:end] = rng.choice(NASTY_JSON)
            case _:
                mutated[at:at] = rng.randbytes(rng.randint(1, 8))
    return bytes(mutated)


def fuzz(name: str, *, inputs: int, seed: int) -> int:
    """Try ``inputs`` mutations on one decoder; return how many were tried."""
    rng, corpus = random.Random(f"{name}/{seed}"), TARGETS[name].corpus
    for data in corpus:
        if not check(name, data):
            raise Finding(f"{name}: an honest message was refused")
    for _ in range(inputs):
        check(name, mutate(rng.choice(corpus), corpus, rng))
    return inputs


def main() -> int:
    """Fuzz the named targets, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--inputs", type=int, default=1_000_000, help="inputs over all targets")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    targets = options.targets or list(TARGETS)
    for name in targets:
        started = time.perf_counter()
        try:
            done = fuzz(name, inputs=-(-options.inputs // len(targets)), seed=options.seed)
        except Finding as finding:
            print(finding, file=sys.stderr)
            return 1
        print(f"{name}: {done} inputs, {time.perf_counter() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
