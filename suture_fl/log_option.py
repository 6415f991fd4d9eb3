"""``--json-logs``: one option for all commands that serve."""

from __future__ import annotations

from typing import Annotated

import typer

from suture_fl.json_log import VARIABLE

JsonLogs = Annotated[bool, typer.Option("--json-logs", envvar=VARIABLE, help="Write log lines as JSON.")]
