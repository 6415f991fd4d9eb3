# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title An account with code, such as a multi-signature wallet: does what whoever calls it asks
@license Apache-2.0
"""


@external
def execute(target: address, message: Bytes[2048]) -> Bytes[1024]:
    return raw_call(target, message, max_outsize=1024)
