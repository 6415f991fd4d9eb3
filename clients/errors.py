"""What can go wrong on a data holder's machine.

::

    SutureError
    └── NodeError            base of this package
        ├── PolicyRefusal    the holder's policy or the once-only register says no; nothing was computed
        ├── DoorError        the glue cannot reach its node, or the node answered with an error
        └── NodeStateError   the node's folder is damaged or of another node
"""

from __future__ import annotations

from fl_core.errors import SutureError


class NodeError(SutureError):
    """Base of the errors of a holder's machine."""


class PolicyRefusal(NodeError):
    """The holder's own rules forbid what was asked."""


class DoorError(NodeError):
    """The glue and the node cannot talk, or the node refused."""


class NodeStateError(NodeError):
    """The node's folder is not usable."""
