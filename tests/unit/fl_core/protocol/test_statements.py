"""A statement is made of a number, an account and digests of the right sizes, whichever it is."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import get_args

import pytest

from fl_core.protocol.statements import ADDRESS_SIZE, DIGEST_SIZE, Statement

EVERY = pytest.mark.parametrize("kind", get_args(Statement), ids=lambda kind: kind.__name__)


def right(kind):
    sizes = {"member": ADDRESS_SIZE}
    values = {f.name: 7 if f.type == "int" else bytes(sizes.get(f.name, DIGEST_SIZE)) for f in fields(kind)}
    return kind(**values)


@EVERY
def test_a_digest_or_an_account_of_another_size_is_refused(kind):
    for field in fields(kind):
        if field.type != "int":
            for value in (b"", getattr(right(kind), field.name) + b"\x00"):
                with pytest.raises(ValueError, match=f"{field.name} has a wrong length"):
                    replace(right(kind), **{field.name: value})


@EVERY
@pytest.mark.parametrize(
    ("number", "fits"), [(-1, False), (0, False), (1, True), (2**32 - 1, True), (2**32, False)]
)
def test_a_number_lies_above_zero_and_below_2_to_the_32(kind, number, fits):
    for field in fields(kind):
        if field.type == "int" and fits:
            assert getattr(replace(right(kind), **{field.name: number}), field.name) == number
        elif field.type == "int":
            with pytest.raises(ValueError, match=rf"a number of a {field.name} lies"):
                replace(right(kind), **{field.name: number})
