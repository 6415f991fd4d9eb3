# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title The design that this project does not use: one record for each client and round
@license Apache-2.0
@dev Kept as small as a useful record allows: who contributed what, with an event. For comparison of gas only.
"""

struct Record:
    digest: bytes32
    block: uint64

event Contributed:
    run: indexed(bytes32)
    round: indexed(uint32)
    client: indexed(address)
    digest: bytes32

count: public(HashMap[bytes32, HashMap[uint32, uint32]])
records: public(HashMap[bytes32, HashMap[uint32, HashMap[address, Record]]])


@external
def contribute(run: bytes32, n: uint32, digest: bytes32):
    assert self.records[run][n][msg.sender].digest == empty(bytes32), "naive_ledger: contributed already"
    self.records[run][n][msg.sender] = Record(digest=digest, block=convert(block.number, uint64))
    self.count[run][n] += 1
    log Contributed(run=run, round=n, client=msg.sender, digest=digest)
