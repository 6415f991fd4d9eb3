"""``suture certificates``: a small authority and the servers' certificate, for SuperLink and relay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.views.binding import AsJson

EPILOG = "Example: suture certificates certificates --name federation.example.org --name 192.0.2.7"


def certificates(
    folder: Annotated[
        Path, typer.Argument(help="Folder for ca.crt, ca.key, server.pem, server.key.", show_default=False)
    ],
    name: Annotated[
        list[str],
        typer.Option(
            help="Host name or IP address under which nodes reach the servers; once for each.",
            show_default=False,
        ),
    ],
    days: Annotated[int, typer.Option(help="Life of the server certificate in days, at most 825.")] = 365,
    as_json: AsJson = False,
) -> None:
    """Make the consortium's authority, and the certificate that SuperLink and relay show.

    Run it again before the certificate ends, or when a name changes: the
    authority stays, so nodes notice nothing. Give ca.crt to every node;
    server.key and ca.key stay with the coordinator.
    """
    import datetime

    from coordinator.certificates import make_certificates
    from ledger.views.window import Answer, facts, show

    made = make_certificates(folder, name, now=datetime.datetime.now(datetime.UTC), days=days)
    data = {
        "authority": str(made.authority),
        "certificate": str(made.certificate),
        "key": str(made.key),
        "names": name,
        "days": days,
    }
    lines = facts({"authority, for the nodes": data["authority"], "server certificate": data["certificate"], "server key": data["key"],
                   "names": ", ".join(name), "good for": f"{days} days"})  # fmt: skip
    show(Answer(data, lines), as_json=as_json)
