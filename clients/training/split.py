"""The fixed division of a hospital's patients into training and test examples.

The order in which patients are taken is a public pseudo-random permutation, from SHA-256 of a key and the patient's
position; no generator with a state or a version is involved, so the division never changes.
"""

from __future__ import annotations

from collections.abc import Sequence

from fl_core.digests import Label, digest


def stratified_split(
    labels: Sequence[int], key: bytes, *, train_percent: int = 66
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Divide positions 0, 1, ... of ``labels`` so that both parts have nearly the same share of every label.

    The training part has ``floor(train_percent * n / 100)`` positions. Each label gets its proportional number of them,
    rounded down; what is left goes to the labels with the largest remainders, the smaller label first on a tie.

    Args:
        labels: One label for each example.
        key: Names the division; another key gives another one.
        train_percent: Share of the training part, in (0, 100).

    Returns:
        The training positions and the test positions, each ascending.
    """
    total = train_percent * len(labels) // 100
    strata: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        strata.setdefault(label, []).append(position)

    quota = {label: divmod(total * len(strata[label]), len(labels)) for label in sorted(strata)}
    left = total - sum(whole for whole, _ in quota.values())
    lucky = sorted(quota, key=lambda label: -quota[label][1])[:left]

    train: set[int] = set()
    for label, positions in strata.items():
        drawn = sorted(
            positions, key=lambda position: digest(Label.DATA_SPLIT, key, position.to_bytes(8, "big"))
        )
        train.update(drawn[: quota[label][0] + (label in lucky)])
    test = (position for position in range(len(labels)) if position not in train)
    return tuple(sorted(train)), tuple(test)
