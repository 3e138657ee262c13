"""Certificates for servers that are right, and for servers that are wrong in one way each."""

import datetime
import hashlib
import ssl
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAMES = ("localhost", "127.0.0.1", "::1")


class Certificate:
    """Key and chain in one PEM file, as Dovecot and ssl.SSLContext both read it."""

    def __init__(self, path: Path, pem: bytes):
        self.path = path
        path.write_bytes(pem)
        path.chmod(0o600)

    @property
    def fingerprint(self) -> str:
        text = self.path.read_text()
        leaf = text[text.index("-----BEGIN CERTIFICATE"):]
        leaf = leaf[: leaf.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")]
        return "sha256:" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf)).hexdigest()

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


class Certs:
    """One authority that the tests trust, one that they do not, and what both have signed."""

    def __init__(self, folder: Path):
        ours, strangers = trustme.CA(), trustme.CA()
        self.ca_file = folder / "ca.pem"
        ours.cert_pem.write_to_path(str(self.ca_file))
        self.strangers_ca_file = folder / "strangers-ca.pem"
        strangers.cert_pem.write_to_path(str(self.strangers_ca_file))

        def save(name: str, leaf: trustme.LeafCert) -> Certificate:
            return Certificate(folder / f"{name}.pem", leaf.private_key_and_cert_chain_pem.bytes())

        self.good = save("good", ours.issue_cert(*NAMES))
        self.other_host = save("other-host", ours.issue_cert("imap.example.org"))
        self.unknown_ca = save("unknown-ca", strangers.issue_cert(*NAMES))
        self.expired = Certificate(folder / "expired.pem", _expired(ours))


def _expired(ca: trustme.CA) -> bytes:
    """A certificate that was right until three days ago; trustme does not make those."""
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    issuer_key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "expired")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now - datetime.timedelta(days=3))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
