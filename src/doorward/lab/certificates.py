"""Certificates of a stage: authorities of its own, and servers of 127.0.0.1 that they vouch for.

They live a day, and nobody trusts them but whoever is told to in the variable ``SSL_CERT_FILE``.
"""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

LIFE = datetime.timedelta(days=1)


class Authority:
    """One that signs certificates. Its own is at ``file``."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"lab authority {file.stem}")
        basic = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        built = _builder(self._name, self._name, self._key).add_extension(basic, critical=True)
        signed = built.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: Path, *, host: str = "") -> Path:
        """A fresh key and a certificate for ``host`` (the address 127.0.0.1, if empty), both in ``file``."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _write(file, key, _server(key, self._name, self._key, host))


def self_signed(file: Path) -> Path:
    """A fresh key that vouches for itself as 127.0.0.1, with its certificate in ``file``."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _write(file, key, _server(key, _name("127.0.0.1"), key, ""))


def _server(
    key: ec.EllipticCurvePrivateKey, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey, host: str
) -> x509.Certificate:
    names = [x509.DNSName(host) if host else x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    built = _builder(_name(host or "127.0.0.1"), issuer, key).add_extension(
        x509.SubjectAlternativeName(names), critical=False
    )
    known_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return built.add_extension(known_by, critical=False).sign(signer, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _write(file: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Path:
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(plain + certificate.public_bytes(serialization.Encoding.PEM))
    return file
