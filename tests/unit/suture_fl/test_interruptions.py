"""What a signal does: ends the process at once, or lets a command tidy up undisturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import NoReturn

import pytest

from suture_fl.interruptions import PATIENCE_S, Interruptions


class Ended(Exception):
    pass


def end(status: int) -> NoReturn:
    raise Ended(status)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_process_at_once_while_there_is_nothing_to_tidy_up(
    number: int, status: int
) -> None:
    with pytest.raises(Ended, match=str(status)):
        Interruptions(end=end).on_signal(number, None)


def test_a_command_with_something_to_tidy_up_is_sent_an_exception_and_its_status_is_the_signals() -> None:
    interruptions = Interruptions(end=end)
    with pytest.raises(KeyboardInterrupt), interruptions.something_to_tidy_up():
        interruptions.on_signal(signal.SIGTERM, None)
    assert interruptions.status == 143
    with pytest.raises(Ended):
        interruptions.on_signal(signal.SIGTERM, None)


def test_tidying_up_is_not_interrupted_by_further_signals_for_a_while() -> None:
    clock = Clock()
    interruptions = Interruptions(clock=clock, end=end)
    with interruptions.something_to_tidy_up():
        with pytest.raises(KeyboardInterrupt):
            interruptions.on_signal(signal.SIGINT, None)
        interruptions.on_signal(signal.SIGTERM, None)
        assert interruptions.status == 130, "the first one counts"
        clock.now = PATIENCE_S
        with pytest.raises(KeyboardInterrupt):
            interruptions.on_signal(signal.SIGINT, None)


def test_a_signal_that_the_caller_wants_ignored_stays_ignored() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    interruptions = Interruptions(end=end)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        interruptions.install()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == interruptions.on_signal
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", "interrupted\n"),
        (
            "import sys, types; sys.modules['suture_fl.json_log'] = types.ModuleType('half of it')",
            "interrupted\n",
        ),
        (
            "from suture_fl.json_log import log_to_stderr; log_to_stderr(as_json=True)",
            '"message": "interrupted"}\n',
        ),
    ],
    ids=["nothing is imported", "in the middle of an import", "a log is JSON"],
)
def test_a_signal_ends_the_process_with_its_word_and_imports_nothing(before: str, said: str) -> None:
    program = (
        f"import builtins, signal; {before}\n"
        "from suture_fl.interruptions import INTERRUPTIONS\n"
        "INTERRUPTIONS.install()\n"
        "builtins.__import__ = lambda name, *_: print('imports', name)\n"
        "signal.raise_signal(signal.SIGTERM)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (143, "")
    assert done.stderr.endswith(said) and done.stderr.count("\n") == 1


def test_a_signal_ends_the_process_where_its_word_reaches_nobody() -> None:
    program = (
        "import signal\n"
        "from suture_fl.interruptions import INTERRUPTIONS\n"
        "INTERRUPTIONS.install()\n"
        "try: signal.raise_signal(signal.SIGHUP)\n"
        "except Exception: print('goes on', flush=True)"
    )
    nobody, terminal = os.openpty()
    os.close(nobody)  # it hung up
    with os.fdopen(terminal, "wb", buffering=0) as stderr:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=stderr, check=False
        )
    assert (done.returncode, done.stdout) == (129, b"")
