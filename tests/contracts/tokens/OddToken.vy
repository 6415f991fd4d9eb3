# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title A token for tests that misbehaves on request
@license Apache-2.0
"""

flag Mood:
    HONEST
    TAKES_FEE
    ANSWERS_NO
    REVERTS
    REENTERS
    BURNS_GAS
    BLOCKS_TARGET

balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
mood: Mood
target: address
message: Bytes[1024]
# @dev Whether the last attempt to re-enter succeeded.
reentered: public(bool)


@deploy
def __init__():
    self.mood = Mood.HONEST


@external
def become(mood: Mood):
    self.mood = mood


@external
def plan(target: address, message: Bytes[1024]):
    self.target = target
    self.message = message


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    return True


@external
def transfer(to: address, amount: uint256) -> bool:
    return self._move(msg.sender, to, amount)


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    self.allowance[owner][msg.sender] -= amount
    return self._move(owner, to, amount)


@internal
def _move(owner: address, to: address, amount: uint256) -> bool:
    if self.mood == Mood.REVERTS:
        raise "odd_token: no"
    if self.mood == Mood.BLOCKS_TARGET:
        assert to != self.target, "odd_token: receiver is blocked"
    if self.mood == Mood.ANSWERS_NO:
        return False
    if self.mood == Mood.BURNS_GAS:
        for i: uint256 in range(1_000_000):
            self.balanceOf[convert(convert(i + 1, uint160), address)] = i
    if self.mood == Mood.REENTERS:
        self.reentered = raw_call(self.target, self.message, revert_on_failure=False)
    self.balanceOf[owner] -= amount
    self.balanceOf[to] += amount - (amount // 100 if self.mood == Mood.TAKES_FEE else 0)
    return True
