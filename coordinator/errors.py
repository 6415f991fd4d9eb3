"""The error tree of the coordinator.

::

    CoordinatorError             base of everything this package raises on purpose
    ├── RoundFailed              a round ends without a model; the run goes on
    ├── RunStateError            a run's folder is damaged or of another run
    └── EngineError              an engine could not carry a Flower app
        ├── BadReference         "module:attribute" does not name an object        (also an InputError)
        ├── BadSetting           a run or node setting that Flower cannot carry    (also an InputError)
        ├── BadBundle            an app folder that cannot become a Flower bundle
        ├── PortInUse            somebody else listens on a port we were told to use (also an InputError)
        ├── GridFailed           Flower's grid broke while messages were exchanged
        ├── ProcessDied          a process of the deployment ended by itself; holds the tail of its log
        ├── NotReady             a process did not become ready in time; holds the tail of its log
        ├── NoSuperLink          a folder is not one of a SuperLink                (also an InputError)
        ├── SuperLinkAway        a SuperLink does not answer; it may come back
        └── RunTimedOut          the run did not end in time

Errors of peers (a node that raised, went offline or sent nothing) are no exceptions: :mod:`coordinator.engines.exchange`
hands them over as answers, since drop-outs are normal.
"""

from __future__ import annotations

from fl_core.errors import InputError, SutureError


class CoordinatorError(SutureError):
    """The coordinator cannot go on with what it was asked to do."""


class EngineError(CoordinatorError):
    """An engine could not start, run or end a Flower app."""


class BadReference(EngineError, InputError):
    """A reference of the form ``module:attribute`` does not lead to an object."""


class BadSetting(EngineError, InputError):
    """A setting has a name or a value that Flower cannot carry."""


class BadBundle(EngineError):
    """An app folder is not one that Flower can bundle, or not the one that was agreed on."""


class PortInUse(EngineError, InputError):
    """A port that was asked for is taken; the message names the port and, if known, the process."""


class GridFailed(EngineError):
    """A call of Flower's grid raised; its own exception is the cause."""


class ProcessDied(EngineError):
    """A process of the deployment ended by itself; the message ends with the tail of its log."""


class NotReady(EngineError):
    """A process of the deployment did not become ready in time; the message ends with the tail of its log."""


class NoSuperLink(EngineError, InputError):
    """A folder is not one that ``suture superlink serve`` keeps."""


class SuperLinkAway(EngineError):
    """A SuperLink does not answer: it is not started, dead, or being started again."""


class RunTimedOut(EngineError):
    """A run did not end before its deadline."""


class RoundFailed(CoordinatorError):
    """A round ends without a model; the next one starts from the same model."""


class RunStateError(CoordinatorError):
    """A run's folder is damaged, incomplete or of another run."""
