"""What plays the images' Dockerfile refuses what it does not know: a new instruction is noticed, and is not left out in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.tools import CONTAINERS, ROOT
from tests.simulators.compose import HARDENED, NotPlayed, check_known, seconds
from tests.simulators.dockerfile import UnknownInstruction, parse
from tests.simulators.images import Builder, Image


def test_a_dockerfiles_stages_and_steps_are_read() -> None:
    text = 'ARG B=x:1\nFROM ${B} AS one\nARG W=1\n# why\nRUN a \\\n  # why\n  && b\nFROM one AS two\nCOPY --from=one /a /b\nCMD ["c"]\n'
    one, two = parse(text, {"W": "2"})
    assert (one.base, two.base) == ("x:1", "one")
    assert [(step.name, step.words) for step in one.instructions] == [
        ("ARG", ["W=2"]),
        ("RUN", ["a    && b"]),
    ]
    assert two.instructions[0].flags == {"from": "one"}
    assert two.instructions[1].words == ["c"]


def test_a_stage_that_a_step_mounts_is_read() -> None:
    [_, one] = parse(
        "FROM scratch AS w\nFROM x:1 AS one\nRUN --mount=type=bind,from=w,target=/w a --b && c\n", {}
    )
    assert (one.instructions[0].flags, one.instructions[0].words) == ({"/w": "w"}, ["a --b && c"])


@pytest.mark.parametrize(
    "line",
    [
        "ADD a /a",
        "SHELL [\"/bin/bash\", \"-c\"]",
        "ONBUILD RUN a",
        "RUN --mount=type=cache,target=/a b",
        "RUN --mount=type=bind,source=a,target=/a b",
        "RUN --network=none b",
        "COPY --chown=1:1 a /a",
        "COPY ${A} /a",
        "ENTRYPOINT suture",
        "HEALTHCHECK CMD suture alive",
        "HEALTHCHECK --start-interval=1s CMD [\"a\"]",
        "ENV A b",
    ],
)  # fmt: skip
def test_an_instruction_that_would_not_be_played_as_an_engine_does_is_refused(line: str) -> None:
    with pytest.raises(UnknownInstruction):
        parse(f"FROM x:1 AS one\n{line}\n", {})


def test_the_dockerfile_needs_nothing_that_is_refused() -> None:
    assert len(parse((CONTAINERS / "Dockerfile").read_text(), {})) == 7


def test_a_key_of_a_service_that_nobody_plays_is_refused() -> None:
    known = {"image": "suture-node", "restart": "always", **HARDENED}
    check_known("node", known)
    for wrong in ({"privileged": True}, {"deploy": {}}, {"read_only": False}, {"cap_drop": []}):
        with pytest.raises(NotPlayed):
            check_known("node", known | wrong)


@pytest.mark.parametrize(("text", "found"), [("20s", 20.0), ("3m0s", 180.0), ("1h0m30s", 3630.0)])
def test_durations_are_read_as_docker_compose_writes_them(text: str, found: float) -> None:
    assert seconds(text) == found


def test_another_duration_is_refused() -> None:
    for text in ("", "20", "1.5s", "500ms"):
        with pytest.raises(NotPlayed):
            seconds(text)


@pytest.mark.parametrize(
    ("user", "found"),
    [("1:1", ("1:1", ())), ("1:2", ("1:2", ())), ("1", ("1:1", ("2", "4"))), ("2", ("2:2", ()))],
)
def test_a_user_without_a_group_has_those_of_the_image_and_one_with_a_group_no_other(
    user: str, found: tuple[str, tuple[str, ...]], tmp_path: Path
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("node:x:1:1::/tmp:/no\nglue:x:2:2::/tmp:/no\n")
    (tmp_path / "etc" / "group").write_text("node:x:1:\nglue:x:2:node\nno:x:3:nodes\nmore:x:4:other,node\n")
    assert Image(root=tmp_path, user=user).identity() == found


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("fl_core", True),
        ("fl_core/lattice/ring.py", True),
        ("fl_core/lattice/__pycache__", False),
        ("fl_core/ring.pyc", False),
        ("clients/.env", False),
        ("deploy/containers/constraints.txt", True),
        ("deploy/containers/Dockerfile", False),
        ("tests", False),
        (".git", False),
    ],
)
def test_a_build_gets_what_dockerignore_lets_through(path: str, sent: bool, tmp_path: Path) -> None:
    assert Builder(tmp_path, ROOT, {}).sent(path) is sent
