"""TLS contexts for clients: whom we trust, and the certificate or proxy we show.

Servers' contexts live with the servers. There is no way to switch verification off.
"""

import ssl
from pathlib import Path

from picard_pilot.system.http import TlsSettings


def client_context(tls: TlsSettings) -> ssl.SSLContext:
    """A context that verifies chain and host name, TLS 1.2 or later.

    Raises OSError naming the file when one cannot be read, ValueError when its content is no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca_file is None and tls.ca_dir is None:
        context.load_default_certs()
    else:
        _trust(context, tls.ca_file, tls.ca_dir)
    if tls.certificate is not None:
        _show(context, tls.certificate, tls.key)
    return context


def identity_stamp(tls: TlsSettings) -> tuple[object, ...]:
    """Changes when the client certificate's files change; empty without one. Raises OSError."""
    return tuple(
        (facts.st_ino, facts.st_size, facts.st_mtime_ns)
        for facts in (Path(path).stat() for path in (tls.certificate, tls.key) if path is not None)
    )


def _trust(context: ssl.SSLContext, ca_file: str | None, ca_dir: str | None) -> None:
    if ca_file is not None:
        Path(ca_file).stat()  # the library's own error does not name the file
        try:
            context.load_verify_locations(cafile=ca_file)
        except ssl.SSLError as error:
            raise ValueError(f"no CA certificate in {ca_file}: {error.reason or 'not PEM'}") from None
    if ca_dir is not None:
        Path(ca_dir).stat()
        # Opened certificate by certificate during a handshake, by the hashes in the file names.
        context.load_verify_locations(capath=ca_dir)


def _show(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    def no_passphrase() -> str:
        raise ValueError(
            f"the private key in {key or certificate} has a passphrase; nobody is here to type it"
        )

    try:
        context.load_cert_chain(certificate, key, password=no_passphrase)
    except ssl.SSLError as error:
        raise ValueError(
            f"no usable certificate and key in {certificate}{f' and {key}' if key else ''}: "
            f"{error.reason or 'not PEM'}"
        ) from None
