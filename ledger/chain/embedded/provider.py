"""The JSON-RPC face of the embedded chain: one method for each request, one table of names.

The subset is what :mod:`ledger.chain.connection` and an auditor need: reading blocks, transactions, receipts, logs,
code, storage and proofs; calling and estimating; sending. No accounts, filters, subscriptions or tracing.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from eth.abc import BlockHeaderAPI

from fl_core.errors import LocalProtocolError
from ledger.chain.embedded import evm, wire
from ledger.chain.embedded.node import Node
from ledger.chain.embedded.proof import SlotProof, prove
from ledger.chain.jsonrpc import Json, MalformedJson, data, quantity, to_bytes, to_int, to_list, to_object
from ledger.errors import LedgerError

MAX_LOGS = 10_000
"""Most logs in one answer; ask for fewer blocks when there are more."""
MAX_PROOF_SLOTS = 256

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REFUSED = -32000
REVERTED = 3


class RpcError(Exception):
    """A request that gets an error for an answer.

    Args:
        code: JSON-RPC error code.
        message: One sentence.
        output: What a reverted call returned.
    """

    def __init__(self, code: int, message: str, output: bytes | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.output = output

    def encode(self) -> Json:
        """Return the error object."""
        encoded: Json = {"code": self.code, "message": str(self)}
        return encoded if self.output is None else encoded | {"data": data(self.output)}


class EmbeddedChain(Node):
    """An open embedded chain that answers JSON-RPC requests."""

    def request(self, method: str, params: Sequence[object]) -> Json:
        """Answer one request: ``{"result": ...}`` or ``{"error": {...}}``. Bad input is answered, never raised."""
        handler = _METHODS.get(method)
        try:
            if handler is None:
                raise RpcError(METHOD_NOT_FOUND, f"the method {method} does not exist")
            if not _ARITY[method][0] <= len(params) <= _ARITY[method][1]:
                raise MalformedJson(f"{method} does not take {len(params)} parameters")
            with self._mutex, _collector_paused():
                return {"result": handler(self, *params)}
        except RpcError as error:
            return {"error": error.encode()}
        except MalformedJson as error:
            return {"error": RpcError(INVALID_PARAMS, str(error)).encode()}
        except evm.ExecutionFailed as error:
            code, output = (REVERTED, error.output) if error.reverted else (REFUSED, None)
            return {"error": RpcError(code, error.message, output).encode()}
        except (evm.InvalidTransaction, LocalProtocolError) as error:
            return {"error": RpcError(REFUSED, error.message).encode()}
        except LedgerError as error:
            return {"error": RpcError(INTERNAL_ERROR, str(error)).encode()}

    def _at(self, tag: object) -> BlockHeaderAPI:
        """Resolve a block number or tag; blocks are final at once, so all tags of the newest one mean the same."""
        if tag in (None, "latest", "pending", "safe", "finalized"):
            return self.head()
        header = self.header(0 if tag == "earliest" else to_int(tag))
        if header is None:
            raise RpcError(REFUSED, "block not found")
        return header

    # ---------------------------------------------------------------- the chain
    def _chain_id(self) -> str:
        return quantity(self.chain_id)

    def _net_version(self) -> str:
        return str(self.chain_id)

    def _client_version(self) -> str:
        return "suture-embedded/1"

    def _block_number(self) -> str:
        return quantity(self.head().block_number)

    def _gas_price(self) -> str:
        return quantity(self.head().base_fee_per_gas)

    def _priority_fee(self) -> str:
        return "0x0"

    # ---------------------------------------------------------------- blocks and transactions
    def _block_by_number(self, tag: object, full: object = False) -> Json | None:
        try:
            header = self._at(tag)
        except RpcError:
            return None
        return wire.block(header, self.transactions(header), full=bool(full))

    def _block_by_hash(self, digest: object, full: object = False) -> Json | None:
        header = self.header_by_hash(to_bytes(digest, 32))
        return None if header is None else wire.block(header, self.transactions(header), full=bool(full))

    def _transaction(self, digest: object) -> Json | None:
        found = self.find(to_bytes(digest, 32))
        return None if found is None else wire.transaction(found[1], found[0], 0)

    def _receipt(self, digest: object) -> Json | None:
        found = self.find(to_bytes(digest, 32))
        return None if found is None else wire.receipt(*found)

    def _block_receipts(self, tag: object) -> list[Json] | None:
        try:
            header = self._at(tag)
        except RpcError:
            return None
        found = [self.find(item.hash) for item in self.transactions(header)]
        return [wire.receipt(*one) for one in found if one is not None]

    def _logs(self, query: object) -> list[Json]:
        query = to_object(query)
        topics = to_list(query.get("topics") or [])
        if len(topics) > 4:
            raise MalformedJson("expected at most four topics")
        if "blockHash" in query:
            header = self.header_by_hash(to_bytes(query["blockHash"], 32))
            if header is None:
                raise RpcError(REFUSED, "block not found")
            first = last = header.block_number
        else:
            first, last = (self._log_bound(query.get(key, "latest")) for key in ("fromBlock", "toBlock"))
        addresses = wire.to_choices(query.get("address"), 20)
        rows = self.logs(first, last, addresses, [wire.to_choices(t, 32) for t in topics], MAX_LOGS + 1)
        if len(rows) > MAX_LOGS:
            raise RpcError(REFUSED, f"query returned more than {MAX_LOGS} results")
        hashes = {number: self._at(quantity(number)).hash for number in {row.block for row in rows}}
        return [wire.log(row, hashes[row.block]) for row in rows]

    def _log_bound(self, tag: object) -> int:
        """Resolve one end of a range; it may lie beyond the newest block."""
        if isinstance(tag, str) and tag.startswith("0x"):
            return min(to_int(tag), 2**63 - 1)
        return int(self._at(tag).block_number)

    # ---------------------------------------------------------------- state
    def _transaction_count(self, address: object, tag: object = "latest") -> str:
        return quantity(self.state(self._at(tag)).get_nonce(to_bytes(address, 20)))

    def _balance(self, address: object, tag: object = "latest") -> str:
        return quantity(self.state(self._at(tag)).get_balance(to_bytes(address, 20)))

    def _code(self, address: object, tag: object = "latest") -> str:
        return data(self.state(self._at(tag)).get_code(to_bytes(address, 20)))

    def _storage(self, address: object, slot: object, tag: object = "latest") -> str:
        value = self.state(self._at(tag)).get_storage(to_bytes(address, 20), to_int(slot))
        return data(value.to_bytes(32, "big"))

    def _proof(self, address: object, slots: object, tag: object = "latest") -> Json:
        slots = to_list(slots)
        if len(slots) > MAX_PROOF_SLOTS:
            raise MalformedJson(f"expected at most {MAX_PROOF_SLOTS} slots")
        account = to_bytes(address, 20)
        header = self._at(tag)
        proven = prove(self.proof_database(), header.state_root, account, [to_int(s) for s in slots])
        return {
            "address": data(account),
            "balance": quantity(proven.balance),
            "nonce": quantity(proven.nonce),
            "codeHash": data(proven.code_hash),
            "storageHash": data(proven.storage_root),
            "accountProof": [data(node) for node in proven.nodes],
            "storageProof": [_slot_proof(slot) for slot in proven.slots],
        }

    # ---------------------------------------------------------------- execution
    def _call(self, message: object, tag: object = "latest") -> str:
        return data(self.call(wire.to_message(message), self._at(tag)))

    def _estimate_gas(self, message: object, tag: object = "latest") -> str:
        self._at(tag)
        return quantity(self.estimate(wire.to_message(message)))

    def _send(self, raw: object) -> str:
        return data(self.submit(to_bytes(raw)))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the cycle collector out of a few milliseconds of EVM.

    py-evm makes so many short-lived objects that each request would pay for several walks over everything the process
    holds (a fifth of the time here, more beside torch). Nothing is lost: reference counting frees almost all of them.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _slot_proof(slot: SlotProof) -> Json:
    return {
        "key": quantity(slot.slot),
        "value": quantity(slot.value),
        "proof": [data(node) for node in slot.nodes],
    }


_METHODS: dict[str, Callable[..., object]] = {
    "eth_blockNumber": EmbeddedChain._block_number,
    "eth_call": EmbeddedChain._call,
    "eth_chainId": EmbeddedChain._chain_id,
    "eth_estimateGas": EmbeddedChain._estimate_gas,
    "eth_gasPrice": EmbeddedChain._gas_price,
    "eth_getBalance": EmbeddedChain._balance,
    "eth_getBlockByHash": EmbeddedChain._block_by_hash,
    "eth_getBlockByNumber": EmbeddedChain._block_by_number,
    "eth_getCode": EmbeddedChain._code,
    "eth_getLogs": EmbeddedChain._logs,
    "eth_getProof": EmbeddedChain._proof,
    "eth_getStorageAt": EmbeddedChain._storage,
    "eth_getTransactionByHash": EmbeddedChain._transaction,
    "eth_getTransactionCount": EmbeddedChain._transaction_count,
    "eth_getTransactionReceipt": EmbeddedChain._receipt,
    "eth_getBlockReceipts": EmbeddedChain._block_receipts,
    "eth_maxPriorityFeePerGas": EmbeddedChain._priority_fee,
    "eth_sendRawTransaction": EmbeddedChain._send,
    "net_version": EmbeddedChain._net_version,
    "web3_clientVersion": EmbeddedChain._client_version,
}


def _arity(handler: Callable[..., object]) -> tuple[int, int]:
    """Count the parameters that a handler needs, and those it takes."""
    parameters = list(inspect.signature(handler).parameters.values())[1:]
    return sum(p.default is inspect.Parameter.empty for p in parameters), len(parameters)


_ARITY = {name: _arity(handler) for name, handler in _METHODS.items()}
