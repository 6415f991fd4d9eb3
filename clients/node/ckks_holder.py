"""What the CKKS mode needs of the node, so that it does not depend on the node's own class."""

from __future__ import annotations

from typing import Protocol

from clients.node.ckks_files import CkksFiles
from clients.node.policy import Policy, Usage
from fl_core.protocol.terms import Terms
from fl_core.secagg.boxes import TransportPrivateKey
from ledger.logbook import Kind
from ledger.reader import LedgerReader
from ledger.signer import Signer


class Data(Protocol):
    """The data set; :class:`clients.node.service.DataSet`."""

    @property
    def path(self) -> object: ...  # noqa: D102 - described by the class that implements it

    @property
    def commitment(self) -> bytes: ...  # noqa: D102

    @property
    def records(self) -> int: ...  # noqa: D102


class Holder(Protocol):
    """What the steps need of the node; :class:`clients.node.service.Node`."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def account(self) -> Signer: ...  # noqa: D102

    @property
    def transport(self) -> TransportPrivateKey: ...  # noqa: D102

    def settled_reader(self) -> LedgerReader: ...  # noqa: D102

    @property
    def policy(self) -> Policy: ...  # noqa: D102

    @property
    def ckks(self) -> CkksFiles | None: ...  # noqa: D102

    def accepted(self, digest: bytes) -> Terms: ...  # noqa: D102

    def data_of(self, task: str) -> Data: ...  # noqa: D102

    def usage_of(self, run: bytes, number: int, data_set: bytes, rounds_done: int) -> Usage: ...  # noqa: D102

    def send(self, kind: Kind, run: bytes, number: int, data: bytes) -> bytes: ...  # noqa: D102
