"""The one door to a chain: web3 over HTTP, or over an embedded chain in the same process.

:class:`Web3Connection` fulfils :class:`ledger.chain.ports.Connection`. Nothing else in the project imports web3. What this
module takes care of:

* every failure of a node or of the way to it is a :class:`ChainUnreachable`; a refusal by the contract is
  :class:`Reverted` with the contract's sentence;
* a node that already knows the bytes it is sent has accepted them;
* fees: a chain without base fee asks the node for its gas price, a base fee of zero pays nothing (asking such a node for
  a tip would invent one), everything else offers twice the base fee;
* logs are asked for in pieces, and in smaller pieces when a node refuses a large one.

web3 brings the transport (:mod:`.http` bounds it and repeats requests). Its layers above (method formatters, middleware,
contracts) are left out on purpose: they cost more than the call on an embedded chain, refuse the headers of
proof-of-authority chains, and follow off-chain lookups (EIP-3668), by which a contract could make us call a web server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from web3 import Web3
from web3.exceptions import Web3Exception, Web3RPCError
from web3.providers.base import BaseProvider, JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from ledger.chain.abi import Function, revert_reason
from ledger.chain.http import NodeProvider, refusal, shown
from ledger.chain.jsonrpc import Json, MalformedJson, data, quantity, to_bytes, to_int, to_list, to_object
from ledger.chain.ports import Call, Connection, Fees, Log, Mined, RpcHandler, Sent, Waiting, say_nothing
from ledger.errors import ChainUnreachable, LedgerError, Reverted, Underpriced, WrongChain
from ledger.records import Head

__all__ = ["Call", "Connection", "Fees", "Log", "Mined", "RpcHandler", "Web3Connection"]

LOG_BLOCKS = 5_000
"""Blocks in one request for logs; nodes cap between 500 and 10,000."""
_REVERTED = 3
"""JSON-RPC error code of a reverted call, with the output as data (geth, Besu, anvil, the embedded chain)."""
_KNOWN = ("already known", "known transaction", "already imported", "alreadyknown", "already in", "in cache")
_POOR = ("insufficient funds", "upfront cost exceeds", "insufficient balance")
"""How nodes say that an account cannot pay for gas (geth and anvil, Besu, Erigon)."""
_CHEAP = (
    "underpriced",
    "less than block base fee",
    "less than the current basefee",
    "less than the current base fee",
    "below current base fee",
    "below configured minimum gas price",
    "feetoolow",
)
"""How nodes say that a transaction offers too little (geth and anvil, Besu, Nethermind)."""
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
        answer = self._handler.request(method, cast(Sequence[object], params))
        return cast(RPCResponse, {"jsonrpc": "2.0", "id": 1, **answer})

    def is_connected(self, show_traceback: bool = False) -> bool:
        """A chain in this process is always there (web3's name)."""
        return True


class Web3Connection:
    """A :class:`Connection` through web3.

    Args:
        endpoint: URL of a JSON-RPC node (may hold credentials; never shown), or an open embedded chain.
        chain_id: The chain it must be, when known.
        timeout_s: For each HTTP request.
        patience_s: For how long a node that does not answer is asked again before :class:`ChainUnreachable`.
        waiting: Told when that takes long; see :data:`.ports.Waiting`.

    Raises:
        WrongChain: The node serves another chain.
        ChainUnreachable: The node does not answer.
    """

    def __init__(
        self,
        endpoint: str | RpcHandler,
        *,
        chain_id: int | None = None,
        timeout_s: float = 10.0,
        patience_s: float = 1.0,
        waiting: Waiting = say_nothing,
    ) -> None:
        provider: BaseProvider
        self._place = f"The node {shown(endpoint)}" if isinstance(endpoint, str) else "The chain"
        if isinstance(endpoint, str):
            provider = NodeProvider(endpoint, timeout_s=timeout_s, patience_s=patience_s, waiting=waiting)
        else:
            provider = _HandlerProvider(endpoint)
        self._manager = Web3(provider, middleware=[]).manager
        with self._asking("eth_chainId"):
            self._chain_id = to_int(self._request("eth_chainId"))
        if chain_id is not None and self._chain_id != chain_id:
            raise WrongChain(
                f"{self._place} serves chain {self._chain_id}, asked for was {chain_id}.",
                fix="Give the address of a node of the right chain.",
            )

    def __repr__(self) -> str:
        return f"Web3Connection(chain_id={self._chain_id})"

    def _request(self, method: str, *params: object) -> object:
        """Send one request and return its result; raises web3's errors."""
        return cast(object, self._manager.request_blocking(RPCEndpoint(method), list(params)))

    @contextmanager
    def _asking(self, method: str, function: str = "") -> Iterator[None]:
        """Turn every failure of one request into our errors; ``function`` is set where a contract may refuse."""
        try:
            yield
        except Web3RPCError as error:
            answer = _answer(error)
            words = str(answer.get("message"))
            if function and (answer.get("code") == _REVERTED or words.lower().startswith(_FAILED)):
                raise Reverted(function, _reason(answer, words)) from error
            raise ChainUnreachable(
                f"{self._place} answered {method} with: {words}.", fix="Try again later."
            ) from error
        except OSError as error:  # everything of requests
            what, fix = refusal(error)
            raise ChainUnreachable(
                f"{self._place} did not answer {method}: {what}.", fix=fix
            ) from None  # the cause quotes the URL, and a traceback would print it
        except (Web3Exception, MalformedJson) as error:
            raise ChainUnreachable(
                f"{self._place} answered {method} with something unreadable: {error}.",
                fix="Use another node.",
            ) from error

    def _block(self, tag: str) -> Json | None:
        found = self._request("eth_getBlockByNumber", tag, False)
        return None if found is None else to_object(found)

    def _newest(self) -> Json:
        found = self._block("latest")
        if found is None:
            raise MalformedJson("there is no newest block")
        return found

    # ---------------------------------------------------------------- reading
    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._chain_id

    def head(self) -> Head:
        """Return the newest block."""
        with self._asking("eth_getBlockByNumber"):
            block = self._newest()
            return Head(
                number=to_int(block.get("number")),
                hash=to_bytes(block.get("hash"), 32),
                timestamp=to_int(block.get("timestamp")),
            )

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash at a height, or None when there is no block."""
        with self._asking("eth_getBlockByNumber"):
            block = self._block(quantity(number))
            return None if block is None else to_bytes(block.get("hash"), 32)

    def block_time(self, number: int) -> int | None:
        """Return the time of the block at a height, in Unix seconds, or None when there is none."""
        with self._asking("eth_getBlockByNumber"):
            block = self._block(quantity(number))
            return None if block is None else to_int(block.get("timestamp"))

    def call(
        self, address: bytes, function: Function, *arguments: object, block: int | None = None
    ) -> tuple[Any, ...]:
        """Ask a view; see :class:`.ports.Reading`.

        Raises:
            Reverted: The contract refused.
            WrongChain: There is no contract at the address.
            DecodeError: The answer is not what the function returns.
        """
        message = {"to": data(address), "data": data(function.call_data(*arguments))}
        with self._asking("eth_call", function.name):
            output = to_bytes(
                self._request("eth_call", message, "latest" if block is None else quantity(block))
            )
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
        query = {
            "fromBlock": quantity(first),
            "toBlock": quantity(last),
            "address": data(address),
            "topics": [None if topic is None else data(topic) for topic in topics],
        }
        with self._asking("eth_getLogs"):
            found = [_log(to_object(item)) for item in to_list(self._request("eth_getLogs", query))]
            if any(item.address != address or not first <= item.block_number <= last for item in found):
                raise MalformedJson("logs that were not asked for")
        return sorted(found, key=lambda item: (item.block_number, item.position))

    def code(self, address: bytes) -> bytes:
        """Return the code at an address; empty when there is none."""
        with self._asking("eth_getCode"):
            return to_bytes(self._request("eth_getCode", data(address), "latest"))

    def transaction(self, tx_hash: bytes) -> Sent | None:
        """Return a transaction of a block, or None when the node has none with this hash."""
        with self._asking("eth_getTransactionByHash"):
            answer = self._request("eth_getTransactionByHash", data(tx_hash))
            if answer is None:
                return None
            found = to_object(answer)
            to = found.get("to")
            return Sent(
                sender=to_bytes(found.get("from"), 20),
                nonce=to_int(found.get("nonce")),
                to=None if to is None else to_bytes(to, 20),
                data=to_bytes(found.get("input")),
            )

    # ---------------------------------------------------------------- proving
    def raw_block(self, number: int | None) -> Json | None:
        """Return a block (the newest when None) as the node describes it, or None; see :class:`.ports.Proving`."""
        with self._asking("eth_getBlockByNumber"):
            return self._block("latest" if number is None else quantity(number))

    def raw_proof(self, address: bytes, slots: Sequence[int], number: int) -> Json:
        """Return what the node answers to eth_getProof; see :class:`.ports.Proving`."""
        with self._asking("eth_getProof"):
            words = [data(slot.to_bytes(32, "big")) for slot in slots]
            return to_object(self._request("eth_getProof", data(address), words, quantity(number)))

    def raw_transactions(self, number: int) -> list[Json]:
        """Return the transactions of a block as the node describes them; see :class:`.ports.Proving`."""
        with self._asking("eth_getBlockByNumber"):
            block = to_object(self._request("eth_getBlockByNumber", quantity(number), True))
            return [to_object(item) for item in to_list(block.get("transactions"))]

    def raw_receipts(self, number: int) -> list[Json]:
        """Return what the node answers to eth_getBlockReceipts; see :class:`.ports.Proving`."""
        with self._asking("eth_getBlockReceipts"):
            answer = self._request("eth_getBlockReceipts", quantity(number))
            return [to_object(item) for item in to_list(answer)]

    # ---------------------------------------------------------------- sending
    def estimate_gas(self, call: Call) -> int:
        """Simulate a call as a transaction; see :class:`.ports.Sending`.

        Raises:
            Reverted: It would fail.
        """
        with self._asking("eth_estimateGas", call.function):
            return to_int(self._request("eth_estimateGas", _message(call)))

    def revert_reason(self, call: Call, block: int) -> str:
        """Return why a call fails on the state after a block, or an empty string."""
        try:
            with self._asking("eth_call", call.function):
                self._request("eth_call", _message(call), quantity(block))
        except Reverted as error:
            return error.reason
        except ChainUnreachable:
            pass  # the node may have forgotten the state; the transaction has failed all the same
        return ""

    def nonce(self, address: bytes) -> int:
        """Return how many transactions of an account are in blocks."""
        with self._asking("eth_getTransactionCount"):
            return to_int(self._request("eth_getTransactionCount", data(address), "latest"))

    def fees(self) -> Fees:
        """Return what to offer for gas now; see the module docstring."""
        with self._asking("eth_getBlockByNumber"):
            base = self._newest().get("baseFeePerGas")
            if base is None:
                return Fees(gas_price=to_int(self._request("eth_gasPrice")))
            if to_int(base) == 0:
                return Fees()
            tip = min(to_int(self._request("eth_maxPriorityFeePerGas")), to_int(base))
        return Fees(max_fee=2 * to_int(base) + tip, tip=tip)

    def send_raw(self, raw: bytes) -> None:
        """Hand signed bytes to the node; bytes that it knows already are accepted bytes.

        A node that says the nonce is wrong may have the transaction in a block by now; one that holds another transaction
        with this nonce, and wants more before it lets go of it, may put that one into a block. The receipt tells, and no
        error is raised here.

        Raises:
            Underpriced: The node wants more for gas.
            LedgerError: The node refuses these bytes for good.
            ChainUnreachable: The node did not answer.
        """
        with self._asking("eth_sendRawTransaction"):
            try:
                self._request("eth_sendRawTransaction", data(raw))
            except Web3RPCError as error:
                words = str(_answer(error).get("message"))
                if "replacement" in words.lower():
                    return
                if any(word in words.lower() for word in _CHEAP):
                    raise Underpriced(f"The node refused a transaction: {words.rstrip('.')}.") from error
                if not any(word in words.lower() for word in (*_KNOWN, "nonce")):
                    poor = any(word in words.lower() for word in _POOR)
                    raise LedgerError(
                        f"The node refused a transaction: {words.rstrip('.')}.",
                        fix="Give the account money for gas, then do the same again." if poor else "",
                    ) from error

    def receipt(self, tx_hash: bytes) -> Mined | None:
        """Return where a transaction is, or None while it is in no block."""
        with self._asking("eth_getTransactionReceipt"):
            answer = self._request("eth_getTransactionReceipt", data(tx_hash))
            if answer is None:
                return None
            found = to_object(answer)
            contract = found.get("contractAddress")
            return Mined(
                tx_hash=to_bytes(found.get("transactionHash"), 32),
                block_number=to_int(found.get("blockNumber")),
                block_hash=to_bytes(found.get("blockHash"), 32),
                gas_used=to_int(found.get("gasUsed")),
                succeeded=to_int(found.get("status")) == 1,
                contract=None if contract is None else to_bytes(contract, 20),
            )


def _message(call: Call) -> Json:
    message: Json = {"from": data(call.sender), "data": data(call.data)}
    return message if call.to is None else message | {"to": data(call.to)}


def _log(item: Json) -> Log:
    return Log(
        address=to_bytes(item.get("address"), 20),
        topics=tuple(to_bytes(topic, 32) for topic in to_list(item.get("topics"))),
        data=to_bytes(item.get("data")),
        block_number=to_int(item.get("blockNumber")),
        block_hash=to_bytes(item.get("blockHash"), 32),
        tx_hash=to_bytes(item.get("transactionHash"), 32),
        position=to_int(item.get("logIndex")),
    )


def _answer(error: Web3RPCError) -> Json:
    """Return the error object that the node sent."""
    answer = (error.rpc_response or {}).get("error")
    return cast(Json, answer) if isinstance(answer, dict) else {"message": str(answer or error)}


def _reason(answer: Json, words: str) -> str:
    """Return the contract's sentence, from the returned bytes or from the node's words."""
    try:
        return revert_reason(to_bytes(answer["data"]))
    except (KeyError, MalformedJson):
        return words.removeprefix("execution reverted").removeprefix(": ")
