"""The server's private certification authority and its certificate, made at the first start. TLS itself is uvicorn's.

Pilots are given the authority's certificate; it signs for this server alone.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from picard_pilot.system.files import write_durably

AUTHORITY_LIFETIME = datetime.timedelta(days=3650)
"""Pilots hold a copy of the authority: it should outlive the server's installation."""

CERTIFICATE_LIFETIME = datetime.timedelta(days=365)
RENEW_BEFORE = datetime.timedelta(days=60)
"""A start within two months of the end makes a new certificate; a server is restarted more often than that."""

CLOCK_TOLERANCE = datetime.timedelta(hours=1)
"""Worker nodes whose clocks are slow must not find the certificate not yet valid."""


class TlsFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where certificates and keys are; keys are readable by their owner only."""

    authority: Path
    certificate: Path
    key: Path


def prepare(data_dir: Path, host: str) -> TlsFiles:
    """The server's certificates, made or renewed where needed; `host` is the address it will listen on."""
    folder = data_dir / "tls"
    folder.mkdir(mode=0o700, exist_ok=True)
    files = TlsFiles(
        authority=folder / "ca.pem", certificate=folder / "server.pem", key=folder / "server.key"
    )
    authority_key_file = folder / "ca.key"
    if not files.authority.exists() or not authority_key_file.exists():
        _make_authority(files.authority, authority_key_file)
        files.certificate.unlink(missing_ok=True)
    names = _names(host)
    if not _is_good(files.certificate, names) or not files.key.exists():
        _make_certificate(files, authority_key_file, names)
    return files


def private_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as it is kept in a file."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _names(host: str) -> list[str]:
    """The names and addresses by which this server may be called."""
    names = ["localhost", "127.0.0.1", "::1"]
    for name in (socket.gethostname(), host):
        if name and name not in names and name not in ("0.0.0.0", "::"):
            names.append(name)
    return names


def _make_authority(certificate_file: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Picard private certification authority")
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_durably(key_file, private_key_pem(key))
    write_durably(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))


def _make_certificate(files: TlsFiles, authority_key_file: Path, names: list[str]) -> None:
    authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
    authority_key = serialization.load_pem_private_key(authority_key_file.read_bytes(), password=None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(names[-1]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + CERTIFICATE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    write_durably(files.key, private_key_pem(key))
    write_durably(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _is_good(certificate_file: Path, names: list[str]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except (OSError, ValueError):
        return False
    if certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC) < RENEW_BEFORE:
        return False
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(extension.value) >= {_general_name(name) for name in names}


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    # A common name holds 64 characters; host names may be longer, and only the alternative names count.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
