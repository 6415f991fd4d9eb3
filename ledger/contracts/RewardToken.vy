# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
"""
@title Suture reward token
@license Apache-2.0
@notice An ERC-20 token with one minter and a hard cap. No owner, no pause, no upgrade: the minter issues up to the cap
        and can do nothing else to anybody's balance.
@dev The order of this file is: pragmas, interfaces, constants, immutables, storage, events, constructor, external,
     internal. The training ledger works with any ERC-20 token; this one is for consortia that have none.
"""

from ethereum.ercs import IERC20

implements: IERC20

# ------------------------------------------------------------------------------------------------------------ constants

name: public(constant(String[13])) = "Suture Credit"
symbol: public(constant(String[4])) = "SUTC"
decimals: public(constant(uint8)) = 18

# ----------------------------------------------------------------------------------------------------------- immutables

# @dev The only account that can issue tokens.
MINTER: public(immutable(address))

# @dev The largest total supply there can ever be.
CAP: public(immutable(uint256))

# -------------------------------------------------------------------------------------------------------------- storage

# @dev Tokens there are, in the smallest unit.
totalSupply: public(uint256)
# @dev account -> tokens
balanceOf: public(HashMap[address, uint256])
# @dev owner -> spender -> tokens that the spender may move
allowance: public(HashMap[address, HashMap[address, uint256]])

# --------------------------------------------------------------------------------------------------------------- events

# @notice Tokens were moved, issued (from the zero address) or destroyed (to it).
# @param sender Whose they were.
# @param receiver Whose they are now.
# @param value How many, in the smallest unit.
event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256

# @notice What a spender may move has changed.
# @param owner Whose tokens.
# @param spender Who may move them.
# @param value How many, in the smallest unit.
event Approval:
    owner: indexed(address)
    spender: indexed(address)
    value: uint256

# ---------------------------------------------------------------------------------------------------------- constructor

@deploy
def __init__(minter: address, cap: uint256):
    """
    @notice Fixes who issues tokens, and how many there can be.
    @param minter The only account that can issue.
    @param cap The largest total supply, in the smallest unit.
    """
    assert minter != empty(address), "reward_token: minter is the zero address"
    assert cap > 0, "reward_token: cap is zero"
    MINTER = minter
    CAP = cap


# ------------------------------------------------------------------------------------------------------------- external

@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice Moves the caller's tokens.
    @param to Who receives them.
    @param amount How many, in the smallest unit.
    @return True; a transfer that cannot be made reverts.
    """
    self._move(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice Moves tokens that their owner approved for the caller.
    @param owner Whose tokens.
    @param to Who receives them.
    @param amount How many, in the smallest unit.
    @return True; a transfer that cannot be made reverts.
    """
    allowed: uint256 = self.allowance[owner][msg.sender]
    assert allowed >= amount, "reward_token: amount exceeds the allowance"
    self.allowance[owner][msg.sender] = allowed - amount
    log Approval(owner=owner, spender=msg.sender, value=allowed - amount)
    self._move(owner, to, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Lets another account move the caller's tokens.
    @param spender Who may move them.
    @param amount How many, in the smallest unit; replaces the earlier allowance.
    @return True.
    @custom:security Changing one non-zero allowance into another lets the spender use both: set it to zero first.
    """
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, value=amount)
    return True


@external
def mint(to: address, amount: uint256):
    """
    @notice Issues new tokens. Only the minter, only up to the cap.
    @param to Who receives them.
    @param amount How many, in the smallest unit.
    """
    assert msg.sender == MINTER, "reward_token: caller is not the minter"
    self._checkReceiver(to)
    supply: uint256 = self.totalSupply
    assert amount <= CAP - supply, "reward_token: supply would exceed the cap"
    self.totalSupply = supply + amount
    self.balanceOf[to] += amount
    log Transfer(sender=empty(address), receiver=to, value=amount)


@external
def burn(amount: uint256):
    """
    @notice Destroys tokens of the caller.
    @param amount How many, in the smallest unit.
    """
    balance: uint256 = self.balanceOf[msg.sender]
    assert balance >= amount, "reward_token: amount exceeds the balance"
    self.balanceOf[msg.sender] = balance - amount
    self.totalSupply -= amount
    log Transfer(sender=msg.sender, receiver=empty(address), value=amount)


# ------------------------------------------------------------------------------------------------------------- internal

@internal
def _move(sender: address, receiver: address, amount: uint256):
    """
    @dev Takes from one balance and adds to another.
    @param sender Whose tokens.
    @param receiver Who gets them.
    @param amount How many, in the smallest unit.
    """
    self._checkReceiver(receiver)
    balance: uint256 = self.balanceOf[sender]
    assert balance >= amount, "reward_token: amount exceeds the balance"
    self.balanceOf[sender] = balance - amount
    self.balanceOf[receiver] += amount
    log Transfer(sender=sender, receiver=receiver, value=amount)


@internal
@view
def _checkReceiver(receiver: address):
    """
    @dev Tokens sent to nobody or to this contract would be lost.
    @param receiver Who is to get tokens.
    """
    assert receiver != empty(address) and receiver != self, "reward_token: receiver cannot hold tokens"
