"""A ledger whose constructor was written by its coordinator: the genuine code, with members and consents of its choice.

Assembled by hand: the constructor stores what members, keys and consents leave in the contract's storage, emits the events
of it all, and returns the runtime of this version's ``TrainingLedger``. The holders whose accounts it uses sign nothing.
"""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
from eth_utils.crypto import keccak

from fl_core.models import encode_model
from fl_core.protocol.setup import transport_key_digest
from fl_core.secagg.boxes import TransportPrivateKey
from fl_core.secret import Secret
from ledger.artifacts import load
from ledger.chain.abi import interface
from ledger.creation import contract_address
from ledger.outbox import Outbox
from ledger.typed_data import Domain, run_id
from tests.simulators.public_folder import CHAIN_ID, HOLDERS, SPECS, Consortium, Holder, insecure_key

VICTIMS = {name: hashlib.sha256(b"a real hospital, " + name.encode()).digest()[:20] for name in HOLDERS}
"""Accounts of which nobody here has a key."""
PUPPETS = tuple(f"sock puppet {number}" for number in range(len(HOLDERS)))
"""Holders of the coordinator's making: the contract counts who consents to a run after it was created."""
_SLOTS = load("TrainingLedger").storage_layout


def word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big")


def slot(name: str, *keys: int | bytes) -> int:
    """Return the slot of a variable, or of an entry of a map."""
    place = word(_SLOTS[name])
    for key in keys:
        place = keccak(place + word(key))
    return int.from_bytes(place, "big")


def push(value: int | bytes) -> bytes:
    short = word(value).lstrip(b"\0") or b"\0"
    return bytes([0x5F + len(short)]) + short


def store(place: int, value: int | bytes) -> bytes:
    """SSTORE."""
    return push(value) + push(place) + b"\x55"


def log(name: str, topics: list[int | bytes], data: bytes) -> bytes:
    """LOGn of an event of the ledger."""
    words = b"".join(push(data[at : at + 32]) + push(at) + b"\x52" for at in range(0, len(data), 32))
    signature = interface("TrainingLedger").event(name).topic
    pushed = b"".join(push(topic) for topic in reversed([signature, *map(word, topics)]))
    return words + pushed + push(len(data)) + push(0) + bytes([0xA0 + len(topics) + 1])


def init_code(body: bytes, runtime: bytes) -> bytes:
    """Return a constructor that does ``body`` and leaves ``runtime``."""

    def copy(offset: int) -> bytes:
        size, here = push(len(runtime)), b"\x61" + offset.to_bytes(2, "big")
        return size + here + push(0) + b"\x39" + size + push(0) + b"\xf3"

    return body + copy(len(body) + len(copy(0))) + runtime


class _Silent:
    """A writer that sends nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *args, **kwargs: None


class ForgedConsortium(Consortium):
    """A consortium whose holders never sent a transaction."""

    def _deploy(self) -> bytes:
        sender = self.coordinator
        self.contract = contract = contract_address(sender.address, 0)
        model = encode_model({spec.name: np.zeros(spec.shape, np.float32) for spec in SPECS})
        terms = self._terms(model)
        body = self.forge(run_id(self.sponsor.address, terms.digest), terms.digest)
        separator = Domain(chain_id=CHAIN_ID, contract=contract).separator()
        runtime = load("TrainingLedger").deployed_code({"DOMAIN": separator})
        outbox = Outbox(self.folder / "coordinator" / "coordinator.outbox", self.connection, sender)
        outbox.submit("deploy TrainingLedger", None, init_code(body, runtime), "TrainingLedger")
        outbox.close()
        return contract

    def forge(self, run: bytes, terms: bytes) -> bytes:
        """Return code that founds the consortium, registers the holders' keys, and consents for them."""
        people = {self.coordinator.address: 8, self.sponsor.address: 2} | dict.fromkeys(VICTIMS.values(), 1)
        people |= {insecure_key(name).address: 1 for name in PUPPETS}
        code = store(slot("threshold"), 2) + store(slot("memberCount"), len(people))
        for account, roles in people.items():
            entry = slot("member", account)
            code += store(entry, roles) + store(entry + 2, 1)
            code += log("MemberAdmitted", [account], word(roles) + word(0))
        code += log("ThresholdSet", [], word(2))
        for name, account in VICTIMS.items():
            holder = self._holder(name)
            encryption, signer = transport_key_digest(holder.transport.public), holder.signer.address
            keys = slot("keysAt", account, 1)
            code += store(slot("member", account) + 1, 1) + store(keys, signer) + store(keys + 1, encryption)
            code += store(keys + 2, 1) + store(slot("signerOf", signer), account)
            code += store(slot("consent", run, account), terms)
            code += log("KeysSet", [account, signer], word(1) + encryption)
            code += log("Consent", [run, account], word(1) + word(1))
        return code

    def _holder(self, name: str) -> Holder:
        seed = Secret(hashlib.sha256(f"{name}/box".encode()).digest())
        return Holder(
            name=name,
            account=SimpleNamespace(address=VICTIMS[name]),  # type: ignore[arg-type]
            signer=insecure_key(f"the coordinator in the name of {name}"),
            transport=TransportPrivateKey.from_seed(seed),
            writer=_Silent(),  # type: ignore[arg-type]
            epoch=1,
        )

    def _fund(self, terms):
        run = super()._fund(terms)
        for name in PUPPETS:
            self._join(name, run[0], terms.digest)
        return run

    def _join(self, name: str, run: bytes, terms: bytes) -> None:
        """Have a holder of the coordinator's making consent."""
        puppet = insecure_key(name)
        writer = self._writer(puppet, name)
        self.set_keys(puppet, puppet, 1, hashlib.sha256(name.encode()).digest(), writer)
        writer.accept(run, terms, intent="accept")
        writer.close()
