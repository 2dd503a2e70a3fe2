"""Calls of keysvc for single sign-on connections and their domains."""

from datetime import UTC, datetime, timedelta

from cloudacademy.keys.v1 import audit_pb2, domains_pb2
from cloudacademy.keys.v1 import sso_pb2 as pb
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.support.keysvc.replicas import Replica

ANN = audit_pb2.Actor(id="u1", display_name="ann@acme.test", address="192.0.2.1")
EXPIRY = datetime(2030, 1, 1, tzinfo=UTC)


def certificate(end: datetime = EXPIRY, bits: int = 2_048) -> str:
    key = rsa.generate_private_key(65_537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - timedelta(days=3_650))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(Encoding.PEM).decode()


PEM = certificate()
OTHER_PEM = certificate()


def connection_with(**changes: object) -> pb.SsoConnection:
    fields = {
        "sso_url": "https://login.example/saml2",
        "idp_entity_id": "https://sts.example/",
        "certificates": [PEM],
        "domains": ["Acme.test"],
    }
    return pb.SsoConnection(**(fields | changes))


async def update(keysvc: Replica, organization_id: str, etag: str = "", **changes: object):
    request = pb.UpdateSsoConnectionRequest(
        organization_id=organization_id, connection=connection_with(**changes), etag=etag, actor=ANN
    )
    return (await keysvc.sso.UpdateSsoConnection(request)).connection


async def get(keysvc: Replica, organization_id: str) -> pb.SsoConnection:
    request = pb.GetSsoConnectionRequest(organization_id=organization_id)
    return (await keysvc.sso.GetSsoConnection(request)).connection


async def record_test(keysvc: Replica, organization_id: str, etag: str) -> pb.SsoConnection:
    request = pb.RecordSsoTestRequest(organization_id=organization_id, etag=etag, actor=ANN)
    return (await keysvc.sso.RecordSsoTest(request)).connection


async def activate(keysvc: Replica, organization_id: str) -> pb.SsoConnection:
    request = pb.ActivateSsoConnectionRequest(organization_id=organization_id, actor=ANN)
    return (await keysvc.sso.ActivateSsoConnection(request)).connection


async def create_active(
    keysvc: Replica, organization_id: str, **changes: object
) -> pb.SsoConnection:
    connection = await update(keysvc, organization_id, **changes)
    await record_test(keysvc, organization_id, connection.etag)
    for domain in connection.domains:
        await verify(keysvc, organization_id, domain)
    return await activate(keysvc, organization_id)


async def verify(keysvc: Replica, organization_id: str, domain: str) -> None:
    """Prove a domain by an operator's override."""
    await keysvc.domains.VerifyDomain(
        domains_pb2.VerifyDomainRequest(
            organization_id=organization_id, domain=domain, reason="a test", actor=ANN
        )
    )


async def find(keysvc: Replica, **query: str) -> pb.SsoConnection:
    return (await keysvc.sso.FindSsoConnection(pb.FindSsoConnectionRequest(**query))).connection
