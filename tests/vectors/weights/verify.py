"""Verify the vectors of opened weights with the standard library alone; this file imports nothing of the project.

It restates both messages and the commitment from the documentation. ``python tests/vectors/weights/verify.py`` raises at the
first case that does not come out as recorded.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

FILE = Path(__file__).parent / "weights.json"


class Rejected(Exception):
    """A message is not in the form that the documentation gives."""


def commitment(header, member, salt, units):
    """SHA-256 over label and parts, each behind its length in eight bytes."""
    parts = (b"suture/v1/weight", salt, header, member, struct.pack(">I", units))
    return hashlib.sha256(b"".join(struct.pack(">Q", len(part)) + part for part in parts)).digest()


def read_request(data):
    """Return header and pairs: version (2 bytes), header (32), number of pairs (4), account (20) and digest (32) of each."""
    if len(data) < 38:
        raise Rejected("cut off")
    version, header, count = struct.unpack(">H32sI", data[:38])
    if version != 1 or len(data) != 38 + 52 * count:
        raise Rejected("version or length")
    pairs = [struct.unpack_from(">20s32s", data, 38 + 52 * i) for i in range(count)]
    accounts = [account for account, _ in pairs]
    if accounts != sorted(set(accounts)):
        raise Rejected("order")
    return header, pairs


def read_opening(data):
    """Return header, account, weight, salt: version (2 bytes), header (32), account (20), weight (4), salt (32)."""
    if len(data) != 90:
        raise Rejected("length")
    version, header, account, units, salt = struct.unpack(">H32s20sI32s", data)
    if version != 1 or units == 0:
        raise Rejected("version or weight")
    return header, account, units, salt


def verify(vector):
    """Check one file's contents."""
    header, pairs = read_request(bytes.fromhex(vector["request"]))
    expect(header.hex() == vector["header"], "the request's header")
    expect([[a.hex(), v.hex()] for a, v in pairs] == vector["included"], "the included set")
    for entry in vector["openings"]:
        header, account, units, salt = read_opening(bytes.fromhex(entry["opening"]))
        expect(header.hex() == vector["header"], "the opening's header")
        expect(
            (account.hex(), units, salt.hex()) == (entry["member"], entry["units"], entry["salt"]),
            "an opening",
        )
        expect(commitment(header, account, salt, units).hex() == entry["commitment"], "a commitment")
    for kind, read in (("spoilt_requests", read_request), ("spoilt_openings", read_opening)):
        for case in vector[kind]:
            expect(refuses(read, bytes.fromhex(case["message"])), case["name"])
    for case in vector["false_openings"]:
        header, account, units, salt = read_opening(bytes.fromhex(case["opening"]))
        expect(commitment(header, account, salt, units).hex() != case["commitment"], case["name"])


def refuses(read, data):
    try:
        read(data)
    except Rejected:
        return True
    return False


def expect(holds, what):
    if not holds:
        raise AssertionError(f"{what} does not come out as recorded")


def load():
    return json.loads(FILE.read_text("utf-8"))


if __name__ == "__main__":
    verify(load())
