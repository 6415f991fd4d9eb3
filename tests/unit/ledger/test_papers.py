"""The papers of a public folder: canonical JSON with exactly the expected fields."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fl_core.errors import DecodeError
from ledger.papers import PublicFolder, RoundPaper, RunPaper, SealPaper

RUN = RunPaper(
    chain_id=31337, contract="c0" * 20, token="70" * 20, run="0a" * 32, terms="0b" * 32, initial_model="0c" * 32,
    transport_keys={"aa" * 20: "0d" * 32}, names={"aa" * 20: "Hôpital"},
)  # fmt: skip
ROUND = RoundPaper(
    round=1, header="0a" * 32, leaves={"aa" * 20: "0b" * 32}, included=["aa" * 20], exclusions="0c" * 32,
    ciphertexts={"aa" * 20: "0d" * 32}, prekeys={}, checks={}, reveals={}, blames={}, blamed=[], weights={}, aggregate_key="0e" * 32, metrics="0f" * 32, rewards="", model="01" * 32,
)  # fmt: skip
SEAL = SealPaper(run="0a" * 32, files={"run.json": "7 " + "0b" * 32}, signature="0c" * 65)


def changed(paper, **changes):
    values = {k: v for k, v in {**json.loads(paper.encode()), **changes}.items() if v is not ...}
    return json.dumps(values, sort_keys=True, indent=1).encode() + b"\n"


@pytest.mark.parametrize("paper", [RUN, ROUND, SEAL], ids=lambda p: p.FORMAT)
def test_a_paper_is_read_as_it_was_written(paper):
    assert type(paper).decode(paper.encode()) == paper
    assert changed(paper) == paper.encode()
    assert json.loads(paper.encode())["format"] == paper.FORMAT


@pytest.mark.parametrize(
    "data",
    [
        changed(RUN, format="suture-run-v2"),
        changed(RUN, format=...),
        changed(RUN, terms=...),
        changed(RUN, surprise=1),
        RUN.encode()[:-1],
        RUN.encode() + b"\n",
        json.dumps(json.loads(RUN.encode())).encode(),
        RUN.encode().replace(b'"chain_id"', b'"chain_id": 1,\n "chain_id"', 1),
        ROUND.encode(),
        b"null", b"[]", b"5", b'""', b"", b"\xff",
    ],
)  # fmt: skip
def test_another_document_is_rejected(data):
    with pytest.raises(DecodeError):
        RunPaper.decode(data)


@pytest.mark.parametrize("paper", [RunPaper, RoundPaper, SealPaper])
def test_an_over_long_paper_is_rejected_before_it_is_read(paper):
    with pytest.raises(DecodeError, match=f"at most {paper.LIMIT} bytes"):
        paper.decode(b" " * (paper.LIMIT + 1))


def test_every_format_has_a_name_of_its_own():
    assert len({paper.FORMAT for paper in (RunPaper, RoundPaper, SealPaper)}) == 3


def test_every_file_of_a_folder_has_one_place():
    folder = PublicFolder(Path("/f"))
    places = [
        folder.run,
        folder.chain,
        folder.archive,
        folder.rounds,
        folder.model,
        folder.seal,
        folder.round(7),
    ]
    assert len(set(places)) == len(places)
    assert str(folder.round(7)) == "/f/rounds/00007.json"
    assert str(folder.round(123456)) == "/f/rounds/123456.json"


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": "31337"},
        {"chain_id": True},
        {"names": []},
        {"transport_keys": {"aa": 5}},
        {"run": float("nan")},
    ],
)
def test_a_value_of_another_type_is_rejected(changes):
    with pytest.raises(DecodeError):
        RunPaper.decode(changed(RUN, **changes))


def test_papers_differ_when_any_field_differs():
    assert replace(SEAL, run="ff" * 32).encode() != SEAL.encode()
