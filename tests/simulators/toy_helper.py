"""A helper process: listens on the Unix socket that it is given, after a while, until it is ended.

Usage: ``toy_helper.py SOCKET SECONDS [fail]``
"""

from __future__ import annotations

import socket
import sys
import time


def main() -> None:
    print("helper starts", flush=True)
    time.sleep(float(sys.argv[2]))
    if sys.argv[3:] == ["fail"]:
        sys.exit("the key file is missing")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(sys.argv[1])
    server.listen()
    while True:
        server.accept()[0].close()


if __name__ == "__main__":
    main()
