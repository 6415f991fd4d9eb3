"""Calls to the SuperLink under the node key that only the trusted side has: TLS, a signed time in each request, bounded answers.

Flower authenticates a SuperNode by a signature over the time (``flwr/superlink/routers/fleet/node_auth.py``); the body is protected by
TLS alone. The SuperNode behind the gateway has a throw-away key that goes no further than the gateway.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata
from google.protobuf.message import DecodeError as ProtoError
from google.protobuf.message import Message as Proto

from clients.gateway.ports import Answered, SuperLinkError
from clients.node.network import check_address
from fl_core.codec import read_json
from fl_core.errors import DecodeError, InputError
from ledger.files import write_atomically

CONNECT_S, STEP_S = 10.0, 30.0
"""Seconds for a connection, and for each step of sending and receiving."""

MAX_ERROR = 1 << 16  # bytes


def node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the node key in a PEM file, made on the first call with its public half beside it, ``.pub``.

    The public half is what the coordinator enrols (``flwr supernode register``).

    Raises:
        InputError: The file is no such key.
    """
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP384R1())
        public = fresh.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        private = fresh.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_atomically(path.with_suffix(".pub"), public + b"\n")
        write_atomically(path, private, 0o600)
    try:
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is no private key.", fix="Remove it, and register the new one.") from error
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise InputError(
            f"{path} is no key on an elliptic curve.", fix="Remove it, and register the new one."
        )
    return found


class HttpSuperLink:
    """A SuperLink over HTTPS.

    Args:
        url: Its address.
        key: The node key.
        certificates: PEM file of the authorities to trust; None takes the system's.

    Raises:
        InputError: The address or the file cannot be used.
    """

    def __init__(self, url: str, key: ec.EllipticCurvePrivateKey, certificates: Path | None) -> None:
        self._url = check_address(url)
        self._key = key
        self._public = public_key_to_bytes(key.public_key())
        try:
            trust = ssl.create_default_context(cafile=None if certificates is None else str(certificates))
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"{certificates} holds no certificates.", fix="Point to the SuperLink's CA."
            ) from error
        trust.minimum_version = ssl.TLSVersion.TLSv1_2
        self._client = httpx.Client(
            verify=trust,
            timeout=httpx.Timeout(STEP_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )
        version = RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata()
        self._headers = {
            "content-type": PROTOBUF_MEDIA_TYPE,
            "accept": PROTOBUF_MEDIA_TYPE,
            "accept-encoding": "identity",
            **{str(name): str(value) for name, value in version},
        }

    @property
    def address(self) -> str:
        """Its URL."""
        return self._url

    @property
    def public_key(self) -> bytes:
        """The node's public key, PEM."""
        return self._public

    def call(self, name: str, request: Proto, kind: type[Answered], limit: int) -> Answered:
        """Make one call; see :class:`~clients.gateway.ports.SuperLink`."""
        timestamp = now().isoformat()
        headers = {
            **self._headers,
            FLEET_HTTP_PUBLIC_KEY_HEADER: b64encode(self._public).decode(),
            TIMESTAMP_HEADER: timestamp,
            FLEET_HTTP_SIGNATURE_HEADER: b64encode(sign_message(self._key, timestamp.encode())).decode(),
        }
        body = request.SerializeToString(deterministic=True)
        try:
            with self._client.stream(
                "POST", f"{self._url}/v1/fleet/{name}", content=body, headers=headers
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise _refused(name, response)
                received = _read(response, limit)
            answer: Answered = kind()
            answer.ParseFromString(received)
        except (httpx.HTTPError, ProtoError, OSError) as error:
            raise SuperLinkError(f"{name}: no answer ({type(error).__name__})", status=503) from error
        return answer

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _read(response: httpx.Response, limit: int) -> bytes:
    received = bytearray()
    for part in response.iter_raw():
        received += part
        if len(received) > limit:
            raise SuperLinkError(f"the SuperLink's answer has more than {limit} bytes", status=502)
    return bytes(received)


def _refused(name: str, response: httpx.Response) -> SuperLinkError:
    code = 0
    try:
        found = read_json(_read(response, MAX_ERROR), limit=MAX_ERROR, what="error of the SuperLink")
        code = found["code"] if isinstance(found, dict) and type(found.get("code")) is int else 0
    except (DecodeError, SuperLinkError):
        code = 0
    return SuperLinkError(
        f"{name}: the SuperLink refused with status {response.status_code}, code {code}",
        status=response.status_code,
        code=code,
    )
