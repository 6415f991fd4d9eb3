"""A relay in this process: real HTTPS on the loopback interface, stopped and started again as a test likes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from coordinator.relay.open import open_relay
from coordinator.relay.server import Relay, server
from tests.simulators.certificates import Certificates


@contextmanager
def relaying(folder: Path, certificates: Certificates, port: int, **changes: Any) -> Iterator[Relay]:
    """Serve the run in ``folder``; ``changes`` replace parts of the relay."""
    with open_relay(folder) as opened:
        service = server(
            replace(opened, **changes),
            host="127.0.0.1",
            port=port,
            certificate=certificates.certificate,
            key=certificates.key,
        )
        thread = threading.Thread(target=service.run, daemon=True)
        thread.start()
        while not service.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield opened
        finally:
            service.should_exit = True
            thread.join(5.0)
            service.force_exit = True  # whoever still waits for a duty is cut off
            thread.join()
