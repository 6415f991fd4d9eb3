"""The one door to a chain: web3 over HTTP, or over an embedded chain in the same process.

:class:`Web3Connection` fulfils :class:`ledger.chain.ports.Connection`. Nothing else in the project imports web3. What this
module takes care of:

* every failure of a node or of the way to it is a :class:`ChainUnreachable`; a refusal by the contract is
  :class:`Reverted` with the contract's sentence;
* a node that already knows the bytes it is sent has accepted them;
* fees: a chain without base fee asks the node for its gas price, a base fee of zero pays nothing (asking such a node for
  a tip would invent one), everything else offers twice the base fee;
* logs are asked for in pieces, and in smaller pieces when a node refuses a large one;
* no off-chain lookups (EIP-3668): a contract must not make us call a web server.

web3 repeats idempotent requests by itself after a lost connection; nothing here signs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from eth_typing import Address, BlockNumber, ChecksumAddress, Hash32, HexStr
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
)
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.base import BaseProvider, JSONBaseProvider
from web3.types import FilterParams, LogReceipt, RPCEndpoint, RPCResponse, TxParams

from ledger.chain.abi import Function, revert_reason
from ledger.chain.ports import Call, Connection, Fees, Log, Mined, RpcHandler
from ledger.errors import ChainUnreachable, LedgerError, Reverted, WrongChain
from ledger.records import Head

__all__ = ["Call", "Connection", "Fees", "Log", "Mined", "RpcHandler", "Web3Connection"]

LOG_BLOCKS = 5_000
"""Blocks in one request for logs; nodes cap between 500 and 10,000."""
_KNOWN = ("already known", "known transaction", "already imported", "alreadyknown", "already in", "in cache")
_FAILED = (
    "execution",
    "out of gas",
    "outofgas",
    "gas required",
    "invalid opcode",
    "insufficient funds",
    "stack",
)


class _HandlerProvider(JSONBaseProvider):
    """Hands requests to an :class:`RpcHandler`."""

    def __init__(self, handler: RpcHandler) -> None:
        super().__init__()
        self._handler = handler

    def make_request(self, method: RPCEndpoint, params: object) -> RPCResponse:
        """Answer one request (web3's name)."""
        return cast(
            RPCResponse,
            {"jsonrpc": "2.0", "id": 1, **self._handler.request(method, cast(Sequence[object], params))},
        )

    def is_connected(self, show_traceback: bool = False) -> bool:
        """A chain in this process is always there (web3's name)."""
        return True


class Web3Connection:
    """A :class:`Connection` through web3.

    Args:
        endpoint: URL of a JSON-RPC node (may hold credentials; never shown), or an open embedded chain.
        chain_id: The chain it must be, when known.
        timeout_s: For each HTTP request.

    Raises:
        WrongChain: The node serves another chain.
        ChainUnreachable: The node does not answer.
    """

    def __init__(
        self, endpoint: str | RpcHandler, *, chain_id: int | None = None, timeout_s: float = 10.0
    ) -> None:
        provider: BaseProvider
        if isinstance(endpoint, str):
            provider = Web3.HTTPProvider(endpoint, request_kwargs={"timeout": timeout_s})
        else:
            provider = _HandlerProvider(endpoint)
        provider.global_ccip_read_enabled = False
        # Proof-of-authority headers (QBFT) carry seals in extraData; no other middleware is wanted: names, fee
        # strategies and checksums are not ours, and they cost more than the call.
        self._web3 = Web3(provider, middleware=[ExtraDataToPOAMiddleware])
        self._eth = self._web3.eth
        with _asking("eth_chainId"):
            self._chain_id = int(self._eth.chain_id)
        if chain_id is not None and self._chain_id != chain_id:
            raise WrongChain(
                f"The node serves chain {self._chain_id}, asked for was {chain_id}.",
                fix="Give the address of a node of the right chain.",
            )

    def __repr__(self) -> str:
        return f"Web3Connection(chain_id={self._chain_id})"

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._chain_id

    def head(self) -> Head:
        """Return the newest block."""
        with _asking("eth_getBlockByNumber"):
            block = self._eth.get_block("latest")
        return Head(number=int(block["number"]), hash=bytes(block["hash"]), timestamp=int(block["timestamp"]))

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash at a height, or None when there is no block."""
        with _asking("eth_getBlockByNumber"):
            try:
                return bytes(self._eth.get_block(BlockNumber(number))["hash"])
            except BlockNotFound:
                return None

    def call(
        self, address: bytes, function: Function, *arguments: object, block: int | None = None
    ) -> tuple[Any, ...]:
        """Ask a view; see :class:`.ports.Reading`.

        Raises:
            Reverted: The contract refused.
            WrongChain: There is no contract at the address.
            DecodeError: The answer is not what the function returns.
        """
        params: TxParams = {"to": _address(address), "data": HexBytes(function.call_data(*arguments))}
        with _asking("eth_call", function.name):
            output = bytes(self._eth.call(params, "latest" if block is None else BlockNumber(block)))
        if not output and function.outputs:
            raise WrongChain(
                f"There is no contract with {function.name} at 0x{address.hex()}.",
                fix="Check the contract's address.",
            )
        return function.results(output)

    def logs(self, address: bytes, topics: Sequence[bytes | None], first: int, last: int) -> Iterator[Log]:
        """Yield logs in order; see :class:`.ports.Reading`. Pieces get smaller when the node refuses one."""
        step = LOG_BLOCKS
        while first <= last:
            end = min(first + step - 1, last)
            try:
                found = self._logs_once(address, topics, first, end)
            except ChainUnreachable:
                if end == first:
                    raise
                step = max(1, (end - first + 1) // 4)
                continue
            yield from found
            first = end + 1
            step = min(LOG_BLOCKS, step * 2)

    def _logs_once(self, address: bytes, topics: Sequence[bytes | None], first: int, last: int) -> list[Log]:
        query: FilterParams = {
            "fromBlock": BlockNumber(first),
            "toBlock": BlockNumber(last),
            "address": _address(address),
            "topics": [None if topic is None else HexStr("0x" + topic.hex()) for topic in topics],
        }
        with _asking("eth_getLogs"):
            found = [_log(item) for item in self._eth.get_logs(query)]
        if any(item.address != address or not first <= item.block_number <= last for item in found):
            raise ChainUnreachable("The node answered with logs that were not asked for.")
        return sorted(found, key=lambda item: (item.block_number, item.position))

    def code(self, address: bytes) -> bytes:
        """Return the code at an address; empty when there is none."""
        with _asking("eth_getCode"):
            return bytes(self._eth.get_code(_address(address)))

    def estimate_gas(self, call: Call) -> int:
        """Simulate a call as a transaction; see :class:`.ports.Sending`.

        Raises:
            Reverted: It would fail.
        """
        with _asking("eth_estimateGas", call.function):
            return int(self._eth.estimate_gas(_params(call)))

    def revert_reason(self, call: Call, block: int) -> str:
        """Return why a call fails on the state after a block, or an empty string."""
        try:
            with _asking("eth_call", call.function):
                self._eth.call(_params(call), BlockNumber(block))
        except Reverted as error:
            return error.reason
        except ChainUnreachable:
            pass  # the node may have forgotten the state; the transaction has failed all the same
        return ""

    def nonce(self, address: bytes) -> int:
        """Return how many transactions of an account are in blocks."""
        with _asking("eth_getTransactionCount"):
            return int(self._eth.get_transaction_count(_address(address), "latest"))

    def fees(self) -> Fees:
        """Return what to offer for gas now; see the module docstring."""
        with _asking("eth_getBlockByNumber"):
            base = self._eth.get_block("latest").get("baseFeePerGas")
            if base is None:
                return Fees(gas_price=int(self._eth.gas_price))
            if base == 0:
                return Fees()
            tip = min(int(self._eth.max_priority_fee), int(base))
        return Fees(max_fee=2 * int(base) + tip, tip=tip)

    def send_raw(self, raw: bytes) -> None:
        """Hand signed bytes to the node; bytes that it knows already are accepted bytes.

        A node that says the nonce is wrong may have the transaction in a block by now: the receipt tells, and no error
        is raised here.

        Raises:
            LedgerError: The node refuses these bytes for good.
            ChainUnreachable: The node did not answer.
        """
        try:
            with _transport("eth_sendRawTransaction"):
                self._eth.send_raw_transaction(raw)
        except Web3RPCError as error:
            message = _message(error)
            if not any(word in message.lower() for word in (*_KNOWN, "nonce")):
                raise LedgerError(f"The node refused a transaction: {message}.") from error

    def receipt(self, tx_hash: bytes) -> Mined | None:
        """Return where a transaction is, or None while it is in no block."""
        with _asking("eth_getTransactionReceipt"):
            try:
                found = self._eth.get_transaction_receipt(Hash32(tx_hash))
            except TransactionNotFound:
                return None
        contract = found.get("contractAddress")
        return Mined(
            tx_hash=tx_hash,
            block_number=int(found["blockNumber"]),
            block_hash=bytes(found["blockHash"]),
            gas_used=int(found["gasUsed"]),
            succeeded=found["status"] == 1,
            contract=None if contract is None else bytes.fromhex(contract[2:]),
        )


def _address(value: bytes) -> ChecksumAddress:
    return to_checksum_address(Address(value))


def _params(call: Call) -> TxParams:
    params: TxParams = {"from": _address(call.sender), "data": HexBytes(call.data)}
    if call.to is not None:
        params["to"] = _address(call.to)
    return params


def _log(item: LogReceipt) -> Log:
    return Log(
        address=bytes.fromhex(item["address"][2:]),
        topics=tuple(bytes(topic) for topic in item["topics"]),
        data=bytes(item["data"]),
        block_number=int(item["blockNumber"]),
        block_hash=bytes(item["blockHash"]),
        tx_hash=bytes(item["transactionHash"]),
        position=int(item["logIndex"]),
    )


def _message(error: Web3RPCError) -> str:
    """Return the node's words."""
    answer = (error.rpc_response or {}).get("error")
    return str(answer.get("message")) if isinstance(answer, dict) else str(error.message)


@contextmanager
def _transport(method: str) -> Iterator[None]:
    """Turn a lost connection into our error; answers of the node pass."""
    try:
        yield
    except OSError as error:  # everything of requests
        raise ChainUnreachable(
            f"The node did not answer {method}: {type(error).__name__}.", fix="Try again later."
        ) from error


@contextmanager
def _asking(method: str, function: str = "") -> Iterator[None]:
    """Turn every failure of one request into our errors."""
    try:
        with _transport(method):
            yield
    except ContractLogicError as error:
        raise Reverted(function or method, _reason(error)) from error
    except Web3RPCError as error:
        message = _message(error)
        if function and message.lower().startswith(_FAILED):
            raise Reverted(function, message) from error
        raise ChainUnreachable(
            f"The node answered {method} with: {message}.", fix="Try again later."
        ) from error
    except Web3Exception as error:
        raise ChainUnreachable(
            f"The node answered {method} with something unreadable ({type(error).__name__}).",
            fix="Try again later.",
        ) from error


def _reason(error: ContractLogicError) -> str:
    """Return the contract's sentence, from the returned bytes or from the node's words."""
    if isinstance(error.data, str) and error.data.startswith("0x"):
        return revert_reason(bytes(HexBytes(error.data)))
    return str(error.message or "").partition("execution reverted: ")[2]
