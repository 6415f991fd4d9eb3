"""Runs the demo and its audit, and shows both: progress, then a summary, as text or as one JSON object."""

from __future__ import annotations

import json
import time
from typing import Any

from rich.console import Console

from coordinator.demo.options import DemoOptions
from coordinator.demo.run import DemoResult, run_demo
from coordinator.demo.screen import Screen
from coordinator.store.events import Event
