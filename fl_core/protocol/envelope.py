"""How a round's messages travel inside Flower's: names of records and fields, shared by glue and strategy.

Big payloads travel as the bytes of one array in an array record, which Flower cuts into chunks; small ones as fields of a
config record. See ``docs/reference/flower-messages.md``.
"""

from __future__ import annotations

ARRAYS = "arrays"
"""Array record with the model's tensors, as every Flower strategy names it."""

CONFIG = "config"
"""Config record of the inner strategy."""

CONTROL = "suture"
"""Config record with the fields below."""

HEADER = "header"
PREKEYS = "prekeys"
STATUS = "status"
TASK = "task"
SETTINGS = "settings"
ROUND = "round"

SEALED = "suture-sealed"
"""Array record with one array: a sealed frame, a request or an answer."""

FRAME = "frame"
REQUEST = "request"
CHECK = "check"
REVEAL = "reveal"
BLAME = "blame"
WEIGHT = "weight"

CKKS = "ckks"
"""Field of the control record, and array of the sealed record, of a message in the CKKS mode."""

METRICS = "metrics"
"""Metric record of a reply: times in milliseconds; in a run without protection also counts."""

TRAIN_MS = "train-ms"
PROTECT_MS = "protect-ms"
EXAMPLES = "num-examples"

ENROL_TYPE = "query.enrol"
CHECK_TYPE = "query.check"
REVEAL_TYPE = "query.reveal"
BLAME_TYPE = "query.blame"
WEIGHT_TYPE = "query.weight"
CKKS_TYPE = "query.ckks"
"""Flower message types; training is plain ``train``."""
