"""When a certificate ends, read from the file; whatever else stands there is no error but a clear word."""

import datetime
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from picard_pilot.system.x509 import NotACertificate, ends_at


def _certificate(ends: datetime.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pilot " * 10)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - datetime.timedelta(days=4000))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("year", [1999, 2026, 2049, 2050, 2120])
def test_the_end_is_read(tmp_path: Path, year: int) -> None:
    """In both forms of a time that certificates know; the first certificate of a chain counts."""
    ends = datetime.datetime(year, 12, 31, 23, 59, 58, tzinfo=datetime.UTC)
    path = tmp_path / "proxy"
    path.write_bytes(_certificate(ends) + _certificate(ends + datetime.timedelta(days=300)))
    assert ends_at(path) == ends.timestamp()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"token",
        b"-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMAIwAA==\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_certificate(tmp_path: Path, content: bytes) -> None:
    """Empty, something else, cut off: always the same kind of error, with the file in it."""
    path = tmp_path / "proxy"
    path.write_bytes(content)
    with pytest.raises(NotACertificate, match="proxy holds no certificate"):
        ends_at(path)


def test_a_certificate_with_its_bytes_changed_never_breaks_the_reader(tmp_path: Path) -> None:
    """Every byte of the part that is read, set to other values: a number or the one error."""
    import base64

    ends = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    body = base64.b64decode(b"".join(_certificate(ends).splitlines()[1:-1]))
    path = tmp_path / "proxy"
    for position in range(min(200, len(body))):
        for value in (0, 0x30, 0x80, 0x84, 0xFF, os.urandom(1)[0]):
            changed = body[:position] + bytes([value]) + body[position + 1 :]
            pem = base64.b64encode(changed)
            path.write_bytes(b"-----BEGIN CERTIFICATE-----\n" + pem + b"\n-----END CERTIFICATE-----\n")
            try:
                ends_at(path)
            except NotACertificate:
                pass
