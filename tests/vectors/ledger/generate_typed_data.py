"""Writes ``typed_data.json``: signed EIP-712 statements, and tampered ones that must fail.

``python tests/vectors/ledger/generate_typed_data.py``. Generated with ``ledger.typed_data`` and ``eth_keys``; the unit test
verifies every digest with ``eth_account``, which shares no code with either. The keys are public test keys.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from ledger import typed_data
from ledger.typed_data import Domain

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = PrivateKey(keccak(text="suture test vector key"))
DOMAINS = (
    Domain(chain_id=1, contract=bytes(range(20))),
    Domain(chain_id=2**256 - 1, contract=b"\xff" * 20),
)


def word(text: str) -> bytes:
    """Return a word that stands for ``text``."""
    return keccak(text=text)


MEMBER = KEY.public_key.to_canonical_address()
STATEMENTS = (
    typed_data.KeyPossession(member=MEMBER, epoch=1, encryption=word("bundle")),
    typed_data.Prekey(member=MEMBER, epoch=2**32 - 1, transport=word("transport")),
    typed_data.Contribution(
        run=word("run"),
        round=7,
        member=MEMBER,
        header=word("header"),
        parent=word("parent"),
        ciphertext=word("ciphertext"),
        boxes=word("boxes"),
        dataset=word("dataset"),
        weight=word("weight"),
        metrics=word("metrics"),
    ),
    typed_data.Check(
        run=word("run"),
        round=7,
        member=MEMBER,
        header=word("header"),
        accepted=word("accepted"),
        values=word("values"),
    ),
    typed_data.Reveal(
        run=word("run"),
        round=2**32 - 1,
        member=MEMBER,
        header=word("header"),
        included=word("included"),
        shares=word("shares"),
    ),
    typed_data.Blame(
        run=word("run"),
        round=7,
        member=MEMBER,
        header=word("header"),
        included=word("included"),
        place=word("place"),
        values=word("values"),
    ),
    typed_data.AcceptanceReceipt(run=word("run"), round=0, member=MEMBER, contribution=word("contribution")),
    typed_data.Bundle(run=word("run"), files=word("files")),
    typed_data.Checkpoint(member=MEMBER, genesis=word("genesis"), number=2**64 - 1, hash=word("block")),
)


def sign(digest: bytes) -> bytes:
    """Sign with the test key (RFC 6979, so always the same)."""
    signature = KEY.sign_msg_hash(digest)
    r, s, v = (int(part) for part in (signature.r, signature.s, signature.v))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + v])


def tampered(signature: bytes) -> dict[str, bytes]:
    """Return signatures that must be refused, by what is wrong with them."""
    s, v = int.from_bytes(signature[32:64], "big"), signature[64]
    return {
        "high s": signature[:32] + (ORDER - s).to_bytes(32, "big") + bytes([55 - v]),
        "other parity": signature[:64] + bytes([55 - v]),
        "v of 0 or 1": signature[:64] + bytes([v - 27]),
        "v of EIP-155": signature[:64] + bytes([v + 10]),
        "r of zero": bytes(32) + signature[32:],
        "r not below the order": ORDER.to_bytes(32, "big") + signature[32:],
        "s of zero": signature[:32] + bytes(32) + signature[64:],
        "a bit of r": bytes([signature[0] ^ 1]) + signature[1:],
        "a byte short": signature[:64],
        "a byte long": signature + b"\x00",
        "empty": b"",
    }


def main() -> None:
    """Write the file."""
    cases = []
    for domain in DOMAINS:
        for statement in STATEMENTS:
            digest = statement.digest(domain)
            signature = sign(digest)
            operations = [{"what": "as signed", "signature": signature.hex(), "success": True}]
            operations += [
                {"what": what, "signature": candidate.hex(), "success": False}
                for what, candidate in tampered(signature).items()
            ]
            fields = {
                name: value.hex() if isinstance(value, bytes) else value
                for name, value in asdict(statement).items()
            }
            cases.append(
                {
                    "chain_id": domain.chain_id,
                    "contract": domain.contract.hex(),
                    "class": type(statement).__name__,
                    "type": statement.TYPE,
                    "fields": fields,
                    "digest": digest.hex(),
                    "signer": MEMBER.hex(),
                    "operations": operations,
                }
            )
    document = {"provenance": " ".join((__doc__ or "").split()), "cases": cases}
    Path(__file__).with_name("typed_data.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
