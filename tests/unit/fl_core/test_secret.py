"""Secrets do not leak by printing, comparing, hashing, copying or pickling."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import pytest

from fl_core.secret import Secret

VALUE = b"correct horse battery staple"


@pytest.fixture
def secret():
    return Secret(VALUE)


@pytest.mark.parametrize("show", [repr, str, "{}".format, "%s".__mod__, ascii, lambda s: repr([s, {"k": s}])])
def test_every_way_to_print_a_secret_is_redacted(secret, show):
    assert "redacted" in show(secret)
    assert "horse" not in show(secret)


def test_a_traceback_and_a_log_line_are_redacted(secret, caplog):
    try:
        raise ValueError(secret)
    except ValueError:
        logging.getLogger("test").exception("it was %s", secret)
        assert "horse" not in traceback.format_exc()
    assert "horse" not in caplog.text


def test_only_reveal_gives_the_bytes(secret):
    assert secret.reveal() == VALUE
    assert len(secret) == len(VALUE)
    for attempt in (bytes, iter, memoryview, json.dumps, vars, lambda s: s[0], lambda s: s + b""):
        with pytest.raises(TypeError):
            attempt(secret)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps, hash])
def test_a_secret_is_neither_copied_nor_pickled_nor_hashed(secret, duplicate):
    with pytest.raises(TypeError):
        duplicate(secret)


def test_secrets_are_equal_by_content_and_never_to_anything_else(secret):
    assert secret == Secret(VALUE)
    assert secret != Secret(VALUE + b".")
    assert secret != VALUE


def test_a_secret_keeps_its_own_copy_of_a_buffer():
    buffer = bytearray(b"abc")
    secret = Secret(buffer)  # type: ignore[arg-type]
    buffer[0] = 0
    assert secret.reveal() == b"abc"


def test_a_secret_takes_no_further_attributes(secret):
    with pytest.raises(AttributeError):
        secret.note = "x"


def test_a_number_is_no_secret():
    with pytest.raises(TypeError):
        Secret(32)  # type: ignore[arg-type]
