"""What earlier rounds of a run left behind, read from the ledger and the journal; and how a crash's round is brought to its end."""

from __future__ import annotations

from coordinator.context import RunContext
from coordinator.errors import RunStateError
from coordinator.store.journal import Entry
from ledger.documents import decode_rewards
from ledger.files import write_atomically
from ledger.records import ADDRESS_SIZE, EMPTY_WORD, RoundState
from ledger.typed_data import model_id

MAX_MODEL_BYTES = 1 << 32


def newest_finalised(context: RunContext, opened: int | None = None) -> int:
    """Return the number of the newest finalised round, 0 when there is none.

    Args:
        context: The open run.
        opened: How many rounds were opened, from somebody who just asked the ledger; None asks it.
    """
    rounds = context.reader.run(context.run).opened if opened is None else opened
    for number in range(rounds, 0, -1):
        if context.reader.round(context.run, number).state is RoundState.FINALISED:
            return number
    return 0


def newest_paying(context: RunContext, newest: int | None = None) -> int:
    """Return the number of the newest finalised round that paid rewards, up to ``newest`` (None: asks); 0 when there is none."""
    last = newest_finalised(context) if newest is None else newest
    for number in range(last, 0, -1):
        record = context.reader.round(context.run, number)
        if record.state is RoundState.FINALISED and record.rewards != EMPTY_WORD:
            return number
    return 0


def newest_model(context: RunContext, newest: int | None = None) -> tuple[bytes, bytes]:
    """Return id and artifact digest of the model of the ``newest`` finalised round (None: asks); the initial one for 0."""
    number = newest_finalised(context) if newest is None else newest
    if number:
        model = context.reader.round(context.run, number).model
    else:
        model = model_id(context.run, 0, bytes.fromhex(context.terms.initial_model))
    return model, context.reader.model(model).artifact


def earned(context: RunContext, newest: int | None = None) -> dict[bytes, int]:
    """Return what every account earned up to the ``newest`` finalised round (None: asks); nothing for 0."""
    number = newest_paying(context, newest)
    return decode_rewards(noted(context, number, Entry.REWARDS)) if number else {}


def noted(context: RunContext, number: int, entry: Entry) -> bytes:
    """Return what the journal noted about a finalised round.

    Raises:
        RunStateError: Nothing; the journal is not the one of this run.
    """
    value = context.journal.read(number, entry)
    if value is None:
        raise RunStateError(
            f"round {number} is final on the ledger, but the journal has no {entry.value} of it"
        )
    return value


def settle(context: RunContext, number: int) -> None:
    """Bring a round that a crash interrupted to its end: abort it, or write the files of the model that it made.

    Args:
        context: The open run.
        number: The newest round; 0 when there is none.
    """
    if number == 0:
        return
    state = context.reader.round(context.run, number).state
    if state is RoundState.FINALISED:
        publish(context, number)
    elif state is not RoundState.ABORTED:
        context.writer.abort_round(context.run, number, intent=f"{context.run.hex()}/{number}/abort")
        context.journal.write(number, Entry.DONE, b"aborted")


def publish(context: RunContext, number: int, model: bytes | None = None) -> None:
    """Write the paper and the model file of a finalised round; again does no harm.

    Args:
        context: The open run.
        number: The round.
        model: Its model; None reads it from the archive, as after a crash.
    """
    paper = noted(context, number, Entry.PAPER)
    write_atomically(context.public.round(number), paper)
    if model is None:
        model = context.archive.get(noted(context, number, Entry.MODEL), MAX_MODEL_BYTES)
    write_atomically(context.public.model, model)
    context.journal.write(number, Entry.DONE, b"finalised")


def blamed(context: RunContext) -> frozenset[bytes]:
    """Return the clients that a blame opening of an earlier round named: they are not asked again in this run."""
    noted_lists = context.journal.all(Entry.BLAMED).values()
    return frozenset(
        names[at : at + ADDRESS_SIZE] for names in noted_lists for at in range(0, len(names), ADDRESS_SIZE)
    )
