"""From an `s3://` address to presigned ones: where the object is, and boto3's signature for one request.

The bytes, and what an answer means, are `movers.s3`. Credentials are those of boto3's own configuration
(`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, files, a cloud's own service); they never leave this module.
"""

import os
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    UnauthorizedSSOTokenError,
)

from picard_pilot.model.site import Endpoint
from picard_pilot.model.transfer import (
    FailureClass,
    Remedy,
    Side,
    TransferContext,
    TransferError,
    TransferFailure,
)

SCHEME = "s3://"

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""boto3's own names. Looked for in the queue's environment, then in the process's."""

REGION = "us-east-1"
"""Where no configuration names one: most servers other than Amazon's take any."""

LIFETIME_S = 3600
"""Of a signature. It is looked at when a request begins, so this only has to bridge clocks that differ."""

PARAMETERS = {"Content-MD5": "ContentMD5", "If-None-Match": "IfNoneMatch"}
"""boto3's words for headers."""

NOTE = "x-amz-meta-"
"""How headers begin that S3 keeps beside an object."""

SECURE_PORT = {"https": 443, "http": 80}

NO_CREDENTIALS = (
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    UnauthorizedSSOTokenError,
)


class Place(NamedTuple):
    """Where an object is: the service's URL, the bucket, the key."""

    service: str
    bucket: str
    key: str


def place_of(surl: str, context: TransferContext) -> Place:
    """What `s3://host[:port]/bucket/key` names; each part of the path is percent-decoded by itself.

    The service is `https://host[:port]`. Where one of the `AWS_ENDPOINT_URL` variables names the same host and port,
    or the address none at all (`s3:///bucket/key`), that URL is used, with its scheme. With an endpoint the object
    must lie below one of its prefixes. Raises TransferError (`specification`).
    """
    host, parts = _parts(surl)
    endpoint = context.endpoint
    if endpoint is not None and not any(_below(host, parts, base) for base in _bases(endpoint)):
        raise _refused(surl, f"it does not lie below a prefix of the endpoint {endpoint.name}")
    if len(parts) < 2:
        raise _refused(surl, "it has no bucket or no key: s3://host[:port]/bucket/key is meant")
    return Place(_service(surl, host, context.environment), parts[0], "/".join(parts[1:]))


class Signer:
    """Presigns requests; safe for many threads."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    def sign(
        self,
        operation: str,
        place: Place,
        surl: str,
        headers: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> str:
        """The address for one request: `get_object`, `put_object`, `upload_part` ..., in boto3's words.

        `headers` are those of the request on which the signature is to count. Raises TransferError.
        """
        parameters |= _parameters(headers or {})
        try:
            client = self._client(place.service)
            url: str = client.generate_presigned_url(
                operation,
                Params={"Bucket": place.bucket, "Key": place.key, **parameters},
                ExpiresIn=LIFETIME_S,
            )
            return url
        except (BotoCoreError, ValueError) as error:
            lacks = isinstance(error, NO_CREDENTIALS)
            raise TransferError(
                TransferFailure(
                    kind=FailureClass.AUTH if lacks else FailureClass.SPECIFICATION,
                    says=f"no signature for {surl}: {' '.join(str(error).split())}",
                    side=Side.NODE,
                    remedy=Remedy.RENEW if lacks else Remedy.MISTAKE,
                    code=f"boto3 {type(error).__name__}",
                    surl=surl,
                )
            ) from error

    def forget(self, place: Place) -> None:
        """Read the credentials for this service anew before the next signature."""
        with self._making:
            self._clients.pop(place.service, None)

    def _client(self, service: str) -> Any:
        with self._making:
            if service not in self._clients:
                # A session of its own: boto3's default one is not made for threads.
                session = boto3.session.Session()
                self._clients[service] = session.client(
                    "s3",
                    endpoint_url=service,
                    region_name=session.region_name or REGION,
                    config=Config(
                        signature_version="s3v4",
                        s3={"addressing_style": "path"},
                        request_checksum_calculation="when_required",
                        response_checksum_validation="when_required",
                    ),
                )
            return self._clients[service]


def _parameters(headers: Mapping[str, str]) -> dict[str, Any]:
    """The headers as boto3 calls them."""
    named: dict[str, Any] = {PARAMETERS[name]: value for name, value in headers.items() if name in PARAMETERS}
    notes = {name.removeprefix(NOTE): value for name, value in headers.items() if name.startswith(NOTE)}
    return {**named, "Metadata": notes} if notes else named


def _bases(endpoint: Endpoint) -> list[tuple[str, tuple[str, ...]]]:
    return [_parts(way.prefix.rstrip("/")) for way in endpoint.protocols if way.scheme == "s3"]


def _below(host: str, parts: tuple[str, ...], base: tuple[str, tuple[str, ...]]) -> bool:
    return host == base[0] and parts[: len(base[1])] == base[1] and len(parts) > len(base[1])


def _parts(surl: str) -> tuple[str, tuple[str, ...]]:
    """Host with port, and the decoded parts of the path; empty ones, as in `//`, do not count."""
    if surl[: len(SCHEME)].lower() != SCHEME:
        raise _refused(surl, "it is not an s3:// address")
    host, _, path = surl[len(SCHEME) :].partition("/")
    if "@" in host:
        raise _refused(surl, "credentials do not belong into an address")
    if "?" in path or "#" in path:
        raise _refused(surl, "it has a query or a fragment; such characters must be percent-coded")
    return host.lower(), tuple(_component(surl, part) for part in path.split("/") if part)


def _component(surl: str, part: str) -> str:
    raw = unquote_to_bytes(part)
    if raw in (b".", b"..") or b"/" in raw or b"\0" in raw:
        raise _refused(surl, f"its component {part!r} could lead elsewhere")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise _refused(surl, f"its component {part!r} is not UTF-8, as keys of S3 are") from None


def _service(surl: str, host: str, environment: Mapping[str, str]) -> str:
    for source in (environment, os.environ):
        for name in ENDPOINT_VARIABLES:
            url = source.get(name)
            if url and (not host or _door(url) == _door(f"https://{host}") or _named(url) == host):
                return url.rstrip("/")
    if not host:
        raise _refused(surl, f"it names no host, and neither does {' or '.join(ENDPOINT_VARIABLES)}")
    return f"https://{host}"


def _door(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or SECURE_PORT.get(parts.scheme)


def _named(url: str) -> str:
    return urlsplit(url).netloc.lower()


def _refused(surl: str, why: str) -> TransferError:
    return TransferError(
        TransferFailure(
            kind=FailureClass.SPECIFICATION,
            says=f"{surl!r} is refused: {why}",
            remedy=Remedy.MISTAKE,
            surl=surl,
        )
    )
