"""Certificates made at run time for tests: an authority of its own, servers, users and X.509 proxies.

Nothing here is meant for production; every key lives and dies with the test's folder.
"""

import datetime
import hashlib
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)
_LEEWAY = datetime.timedelta(minutes=5)


def _name(common_name: str, base: x509.Name | None = None) -> x509.Name:
    return x509.Name([*(base or ()), x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _subject_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


class Authority:
    """A certificate authority in a folder; `ca_file` is what its clients and servers trust."""

    def __init__(self, folder: Path, name: str = "Picard test authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._signed(_name(name), self._key, _name(name), self._key, is_authority=True)
        self.ca_file = folder / f"{name.replace(' ', '-')}.pem"
        self.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def add_to_directory(self, directory: Path) -> None:
        """Put the authority into a directory under the hashed name by which OpenSSL finds it."""
        # The hash is taken over the canonical subject (lower case, without the outer SEQUENCE's header) and
        # is the first four bytes of its SHA-1, as a little-endian number.
        words = self._certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        canonical = _name(str(words).lower()).public_bytes()[2:]
        number = int.from_bytes(hashlib.sha1(canonical, usedforsecurity=False).digest()[:4], "little")
        (directory / f"{number:08x}.0").write_bytes(self.ca_file.read_bytes())

    def issue(
        self, common_name: str, *, hosts: tuple[str, ...] = (), passphrase: bytes | None = None
    ) -> Path:
        """A certificate and its key in one PEM file; `hosts` are names or addresses of a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(_name(common_name), key, self._certificate.subject, self._key, hosts=hosts)
        path = self._folder / f"{common_name.replace(' ', '-')}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _pem(key, passphrase))
        path.chmod(0o600)
        return path

    def issue_proxy(self, common_name: str) -> Path:
        """An X.509 proxy file as grid tools write it: proxy certificate, key, the user's certificate."""
        user_key = ec.generate_private_key(ec.SECP256R1())
        user = self._signed(_name(common_name), user_key, self._certificate.subject, self._key)
        key = ec.generate_private_key(ec.SECP256R1())
        proxy = self._signed(_name("1234567", user.subject), key, user.subject, user_key, proxy=True)
        path = self._folder / f"proxy-of-{common_name.replace(' ', '-')}.pem"
        pem = serialization.Encoding.PEM
        path.write_bytes(proxy.public_bytes(pem) + _pem(key) + user.public_bytes(pem))
        path.chmod(0o600)
        return path

    def server_context(self, *hosts: str, ask_client: bool = False) -> ssl.SSLContext:
        """A server's TLS context for these names; `ask_client` requires a certificate of this authority."""
        path = self.issue(hosts[0], hosts=hosts)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if ask_client:
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
            # Grid servers accept proxy certificates; the flag has no name in the ssl module.
            context.verify_flags |= ssl.VerifyFlags.VERIFY_ALLOW_PROXY_CERTS
        return context

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        issuer: x509.Name,
        issuer_key: ec.EllipticCurvePrivateKey,
        *,
        hosts: tuple[str, ...] = (),
        is_authority: bool = False,
        proxy: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _LEEWAY)
            .not_valid_after(now + _DAY)
        )
        if proxy:
            builder = builder.add_extension(_PROXY_INFORMATION, critical=True)
        else:
            builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        if is_authority:
            builder = builder.add_extension(_AUTHORITY_USAGE, critical=True)
        if hosts:
            names = x509.SubjectAlternativeName([_subject_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())


_AUTHORITY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
# RFC 3820 proxyCertInfo with the policy language "inherit all", DER by hand: the library has no type for it.
_PROXY_INFORMATION = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14"), bytes.fromhex("300c300a06082b06010505071501")
)
