"""Which app bundle a Flower run brings, fetched and checked before the SuperNode hears of the run.

(1) The SuperLink says one bundle for a run, once: what it says first counts, over a restart what was noted with the run's messages.
(2) The bundle's bytes have the SHA-256 under which the run names it, and Flower's limit of 10 MB.
(3) Name and version are those in the bundle itself: they decide the folder that Flower installs it in and runs.
(4) The run is one of ClientApps.
(5) The holder accepts the bundle now: asked before it is fetched, and anew for every message.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass

from flwr.cli.config_utils import get_fab_metadata
from flwr.proto.fab_pb2 import Fab, GetFabRequest, GetFabResponse
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest, GetRunResponse, Run

from clients.errors import PolicyRefusal
from clients.gateway.ports import Holder, SuperLink

MAX_BUNDLE = 10 * 1024 * 1024 + (1 << 16)  # bytes, with the envelope
MAX_RUN = 1 << 20  # bytes
MAX_RUNS = 8
"""Runs that are remembered; an older one is fetched anew."""

_AGENT_APP = "flwr-agentapp"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}/[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,31}")


class BundleRefused(PolicyRefusal):
    """The bundle does not come in; ``digest`` is what the SuperLink called it, or empty."""

    def __init__(self, reason: str, digest: str = "") -> None:
        super().__init__(reason)
        self.digest = digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A run and its bundle, checked (1) to (4)."""

    run: Run
    fab: Fab


class Bundles:
    """The bundles of the newest runs."""

    def __init__(self, superlink: SuperLink, holder: Holder) -> None:
        self._superlink = superlink
        self._holder = holder
        self._lock = threading.Lock()  # held for no wait: calls ask what is known
        self._runs: OrderedDict[int, Fetched] = OrderedDict()
        self._first: dict[int, str] = {}

    def check(self, run: int, node: Node, noted: str = "") -> Fetched:
        """Return the run and bundle of a message that came in.

        Args:
            run: The run's number.
            node: This node, as the SuperLink knows it.
            noted: The digest of the run's bundle if a message of it came in before, maybe to a gateway before this one.

        Raises:
            BundleRefused: A check failed.
            SuperLinkError: The SuperLink does not give it.
            NodeError: The holder cannot tell now.
        """
        found = self.known(run)
        if found is not None:
            self._must_be_accepted(found.run.fab_hash)
            return found
        found = self._fetch(run, node, noted)
        with self._lock:
            self._runs[run] = found
            while len(self._runs) > MAX_RUNS:
                self._runs.popitem(last=False)
        return found

    def _must_be_accepted(self, digest: str) -> None:
        if not self._holder.accepts(bytes.fromhex(digest)):
            raise BundleRefused("the holder has not accepted this bundle on the ledger", digest)

    def known(self, run: int) -> Fetched | None:
        """Return the run and bundle if a message of this run came in."""
        with self._lock:
            return self._runs.get(run)

    def _fetch(self, number: int, node: Node, noted: str) -> Fetched:
        run = self._superlink.call(
            "get-run", GetRunRequest(node=node, run_id=number), GetRunResponse, MAX_RUN
        ).run
        digest = run.fab_hash
        if not re.fullmatch(r"[0-9a-f]{64}", digest) or run.run_id != number:
            raise BundleRefused("the SuperLink names no bundle by its SHA-256")
        with self._lock:
            first = self._first.setdefault(number, noted or digest)
        if first != digest:
            raise BundleRefused("the SuperLink named another bundle for this run before", digest)
        if run.primary_task_type == _AGENT_APP:
            raise BundleRefused("the run is none of ClientApps", digest)
        self._must_be_accepted(digest)
        request = GetFabRequest(node=node, hash_str=digest, run_id=number)
        fab = self._superlink.call("get-fab", request, GetFabResponse, MAX_BUNDLE).fab
        if hashlib.sha256(fab.content).hexdigest() != digest:
            raise BundleRefused("the SuperLink sent another bundle than it named", digest)
        try:
            name, version = get_fab_metadata(fab.content)
        except Exception as error:
            raise BundleRefused("the bundle cannot be read", digest) from error
        if (run.fab_id, run.fab_version) != (name, version) or not (
            _NAME.fullmatch(name) and _VERSION.fullmatch(version)
        ):
            raise BundleRefused("the run gives the bundle another name or version than it has", digest)
        return Fetched(run=run, fab=Fab(hash_str=digest, content=fab.content))
