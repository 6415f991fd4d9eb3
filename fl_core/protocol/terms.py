"""The terms of a run: what a holder agrees to, as one JSON document whose digest is on the ledger.

The document is canonical JSON (keys sorted, no spaces, ASCII escapes), so a text editor shows it, and every party
derives the same digest. A holder's consent names that digest; every round header is checked against the document.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from fl_core.codec import read_json
from fl_core.digests import Label, digest
from fl_core.errors import DecodeError
from fl_core.models import TensorSpec
from fl_core.secagg.layout import MAX_LENGTH

MAX_TERMS = 1 << 20  # bytes
MAX_TITLE = 200  # characters
MAX_PURPOSE = 2000  # characters
FORMAT = "suture-terms-v1"
BY_EXAMPLES = "by-examples"
"""The reward policy that divides by weights, which the holders open for it (:mod:`fl_core.protocol.weights`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a run may do.

    Attributes:
        title: Name of the run for people; one line of at most :data:`MAX_TITLE` characters that can be printed.
        purpose: What the model is for; likewise, of at most :data:`MAX_PURPOSE`.
        task: Name of the training task that holders have installed, e.g. ``"heart-disease"``.
        task_settings: Settings of the task (numbers and strings), e.g. local updates and learning rate.
        tensors: Names and shapes of the model's tensors, sorted by name.
        initial_model: SHA-256 of the file of the model that round 1 trains from, hexadecimal.
        strategy: Server step applied to the aggregate; ``"fedavg"`` adds it to the model.
        rounds: Most rounds that the run may finalise.
        parameter_set: Lattice parameters.
        packing: Packing of values into coefficients.
        weight_cap: Number of examples from which on a holder weighs fully.
        counters: Names of the integers that are summed under encryption beside the update and the weight.
        initial_clip: Clip of every block in round 1.
        clip_floor: Smallest clip of later rounds.
        clip_factor: Later clips are this many times the last aggregate's root mean square.
        n_min: Least number of contributions in an included set.
        reward_policy: How a round's reward is divided; ``"equal"`` or ``"by-examples"`` (:mod:`ledger.rewards`).
        reward_per_round: Token units (10^-18 token) paid per finalised round.
        blame_opening: Whether the committee may open one coefficient of each update of a round whose sum somebody spoilt,
            to find out who (:mod:`fl_core.protocol.blame`); it shows two or three values of each update.
        bundle: SHA-256 of the Flower app bundle, hexadecimal, or empty when the glue is installed with the node.
    """

    title: str
    purpose: str
    task: str
    task_settings: dict[str, float | int | str]
    tensors: tuple[TensorSpec, ...]
    initial_model: str
    strategy: str
    rounds: int
    parameter_set: str
    packing: str
    weight_cap: int
    counters: tuple[str, ...]
    initial_clip: float
    clip_floor: float
    clip_factor: float
    n_min: int
    reward_policy: str
    reward_per_round: int
    bundle: str
    blame_opening: bool = False

    def __post_init__(self) -> None:
        _check_types(self)
        if (
            not 1 <= self.rounds < 1 << 32
            or self.n_min < 1
            or self.weight_cap < 1
            or self.reward_per_round < 0
        ):
            raise ValueError("rounds, n_min and weight_cap are at least 1, reward_per_round at least 0")
        if not all(
            math.isfinite(v) and v > 0 for v in (self.initial_clip, self.clip_floor, self.clip_factor)
        ):
            raise ValueError("clips are positive finite numbers")
        if len(self.title) > MAX_TITLE or len(self.purpose) > MAX_PURPOSE:
            raise ValueError(f"a title has at most {MAX_TITLE} characters, a purpose {MAX_PURPOSE}")
        if not self.tensors or [t.name for t in self.tensors] != sorted({t.name for t in self.tensors}):
            raise ValueError("tensors are sorted by name and named once")
        if sum(spec.size for spec in self.tensors) + 1 + len(self.counters) > MAX_LENGTH:
            raise ValueError(f"parameters, weight and counters are at most {MAX_LENGTH} values")

    @property
    def opens_weights(self) -> bool:
        """Whether who accepts these terms agrees to open its weight, and with it its number of examples, after each round."""
        return self.reward_policy == BY_EXAMPLES and self.reward_per_round > 0

    @property
    def digest(self) -> bytes:
        """What the ledger and every consent hold: 32 bytes."""
        return digest(Label.TERMS, self.encode())

    def encode(self) -> bytes:
        """Return the canonical document."""
        values = asdict(self)
        values["tensors"] = [[spec.name, list(spec.shape)] for spec in self.tensors]
        values["reward_per_round"] = str(
            self.reward_per_round
        )  # beyond 2^53 JSON numbers are not exact everywhere
        return json.dumps(
            {"format": FORMAT, **values}, sort_keys=True, separators=(",", ":"), allow_nan=False
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a terms document.

        Raises:
            DecodeError: It is too long, not canonical JSON, lacks or adds a field, or breaks a rule; the text says which.
        """
        values = read_json(data, limit=MAX_TERMS, what="terms")
        try:
            terms = cls._from_json(values)
            canonical = terms.encode()
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            said = str(error) if type(error) is ValueError else f"no valid document ({type(error).__name__})"
            raise DecodeError(f"terms: {said}") from error
        if canonical != data:
            raise DecodeError("terms: it was written anew: fields are sorted, without spaces and line breaks")
        return terms

    @classmethod
    def _from_json(cls, values: Any) -> Self:  # noqa: ANN401 - whatever JSON holds
        _check_fields(values, {field.name for field in fields(cls)})
        del values["format"]
        values["tensors"] = tuple(
            TensorSpec(name=name, shape=tuple(shape)) for name, shape in values["tensors"]
        )
        values["counters"] = tuple(values["counters"])
        values["reward_per_round"] = int(values["reward_per_round"])
        return cls(**values)


def _check_fields(values: Any, known: set[str]) -> None:  # noqa: ANN401 - whatever JSON holds
    """Check the names of the fields, and the form of those that JSON holds in another one.

    Raises:
        ValueError: One is missing, unknown or of another form. Of the document's own words only an unknown name is quoted.
    """
    if type(values) is not dict or values.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    missing, unknown = sorted(known - set(values)), sorted(set(values) - known - {"format"})
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if unknown:
        raise ValueError(f"nobody knows its field {unknown[0][:40]!a}")
    if type(values["tensors"]) is not list or not all(map(_is_tensor, values["tensors"])):
        raise ValueError("tensors are pairs of a name and a list of whole numbers")
    if type(values["counters"]) is not list:
        raise ValueError("counters are a list of names")
    reward = values["reward_per_round"]
    if type(reward) is not str or not reward.isascii() or not reward.isdecimal():
        raise ValueError("reward_per_round is a whole number, at least 0, in quotes")


def _is_tensor(value: Any) -> bool:  # noqa: ANN401 - whatever JSON holds
    pair = type(value) is list and len(value) == 2 and type(value[0]) is str and type(value[1]) is list
    return pair and all(type(size) is int for size in value[1])


def _check_types(terms: Terms) -> None:
    """JSON says nothing about types: ``true``, ``1`` and ``1.0`` would otherwise all be "one round".

    Raises:
        ValueError: A field has another type than :class:`Terms` says, or a text cannot be written as UTF-8 or printed in a line.
    """
    for name, kind in _SCALARS.items():
        if type(getattr(terms, name)) is not kind:
            raise ValueError(f"{name} is {_IN_WORDS[kind]}")
    settings = terms.task_settings
    if type(settings) is not dict or not all(map(_is_setting, settings.values())):
        raise ValueError("a task's settings are finite numbers and strings by name")
    if not all(type(size) is int for spec in terms.tensors for size in spec.shape):
        raise ValueError("a tensor's shape is made of integers")
    strings = (value for value in settings.values() if isinstance(value, str))
    texts = [
        *terms.counters,
        *settings,
        *strings,
        *(getattr(terms, n) for n, k in _SCALARS.items() if k is str),
    ]
    for text in texts:
        if type(text) is not str:
            raise ValueError("a name is not a string")
        if not text.isprintable():  # a line break or an escape code would write into a holder's terminal
            raise ValueError("a text, the title for instance, has characters that are not printed")


def _is_setting(value: object) -> bool:
    return type(value) in (str, int) or (type(value) is float and math.isfinite(value))


_SCALARS: dict[str, type] = {
    "title": str,
    "purpose": str,
    "task": str,
    "initial_model": str,
    "strategy": str,
    "rounds": int,
    "parameter_set": str,
    "packing": str,
    "weight_cap": int,
    "initial_clip": float,
    "clip_floor": float,
    "clip_factor": float,
    "n_min": int,
    "reward_policy": str,
    "reward_per_round": int,
    "bundle": str,
    "blame_opening": bool,
}
"""Fields that hold one value, and its type."""
_IN_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number with a decimal point",
    bool: "true or false",
}
