"""The images of the Dockerfile, played once for all tests that need them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.tools import CONTAINERS, INSTALL, ROOT
from tests.simulators import container_host, wheels
from tests.simulators.dockerfile import Stage, parse

BUILD_ARGS = {"PIP_NO_INDEX": "1"}
CONTEXT = "wheels"
"""A build without an index, as docs/how-to/containers.md says it."""


@dataclass(frozen=True)
class Built:
    """The host, what the Dockerfile says, and what was made of it by stage."""

    host: container_host.ContainerHost
    stages: list[Stage]
    images: dict[str, dict[str, Any]]


def pins() -> dict[str, str]:
    lines = (CONTAINERS / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


@pytest.fixture(scope="session")
def built() -> Iterator[Built]:
    """Play the Dockerfile as it stands, without a network."""
    if why := container_host.missing():
        pytest.skip(why)
    text = (CONTAINERS / "Dockerfile").read_text()
    stages = parse(text, BUILD_ARGS)
    [torch] = [w for s in stages for i in s.instructions for w in i.words if w.startswith("TORCH_INDEX=")]
    with tempfile.TemporaryDirectory(prefix="suture-images-") as name:
        folder, packed = Path(name) / "host", Path(name) / "wheels"
        Path(name).chmod(0o755)
        folder.mkdir()
        packed.mkdir()
        try:
            wheels.pack(packed, pins(), torch.partition("=")[2])
        except wheels.NoWheel as error:
            pytest.skip(f"the images' packages are not at hand: {error}; {INSTALL}")
        host = container_host.ContainerHost(folder)
        try:
            context = {"context": str(ROOT), "contexts": {CONTEXT: str(packed)}, "build_args": BUILD_ARGS}
            yield Built(host, stages, host.ask("build", text=text, **context))
        finally:
            host.close()
