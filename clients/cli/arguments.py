"""Arguments that several commands of ``suture-node`` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(help="The node's folder.", show_default=False)]
