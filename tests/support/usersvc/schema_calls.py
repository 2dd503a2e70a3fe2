"""Short forms of the calls of the SchemaService, and attributes of every type."""

from cloudacademy.errors.v1.errors_pb2 import Reason
from cloudacademy.users.v1 import schemas_pb2 as pb
from cloudacademy.users.v1.schemas_pb2_grpc import SchemaServiceStub
from grpc import StatusCode

from tests.support.usersvc.user_calls import ACME, refused

BADGE = "urn:acme:provisioning:2.0:Badge"
A = pb.Attribute


def attribute(name: str, type_: str = "STRING", **fields: object) -> pb.Attribute:
    return pb.Attribute(name=name, type=f"TYPE_{type_}", **fields)


ALL_TYPES = [
    attribute("nickname"),
    attribute("number", case_exact=True),
    attribute("valid", "BOOLEAN"),
    attribute("floor", "INTEGER"),
    attribute("ratio", "DECIMAL"),
    attribute("issued", "DATE_TIME"),
    attribute("photo", "REFERENCE"),
    attribute("seal", "BINARY"),
    attribute("tags", multi_valued=True),
    attribute("office", "COMPLEX", sub_attributes=[
        attribute("city", required=True), attribute("desk", "INTEGER"),
        attribute("since", mutability=A.MUTABILITY_IMMUTABLE),
    ]),
    attribute("doors", "COMPLEX", multi_valued=True, sub_attributes=[
        attribute("value"), attribute("level", "INTEGER"),
    ]),
    attribute("serial", mutability=A.MUTABILITY_IMMUTABLE),
]  # fmt: skip


async def create_schema(
    stub: SchemaServiceStub,
    *attributes: pb.Attribute,
    urn: str = BADGE,
    organization_id: str = ACME,
    **fields: object,
) -> pb.Schema:
    schema = pb.Schema(
        urn=urn, **{"name": "Badge", **fields}, attributes=attributes or [attribute("number")]
    )
    request = pb.CreateSchemaRequest(organization_id=organization_id, schema=schema)
    return (await stub.CreateSchema(request)).schema


async def list_schemas(stub: SchemaServiceStub, organization_id: str = ACME) -> list[pb.Schema]:
    request = pb.ListSchemasRequest(organization_id=organization_id)
    return list((await stub.ListSchemas(request)).schemas)


async def get_schema(
    stub: SchemaServiceStub, urn: str = BADGE, organization_id: str = ACME
) -> pb.Schema:
    request = pb.GetSchemaRequest(organization_id=organization_id, urn=urn)
    return (await stub.GetSchema(request)).schema


async def delete_schema(
    stub: SchemaServiceStub, urn: str = BADGE, organization_id: str = ACME
) -> None:
    await stub.DeleteSchema(pb.DeleteSchemaRequest(organization_id=organization_id, urn=urn))


def to_value(value: object) -> pb.Value:
    match value:
        case list():
            return pb.Value(list=pb.ValueList(values=[to_value(each) for each in value]))
        case dict():
            return pb.Value(parts=extension(**value))
        case bool():
            return pb.Value(boolean=value)
        case int():
            return pb.Value(integer=value)
        case float():
            return pb.Value(decimal=value)
        case _:
            return pb.Value(text=value)


def extension(**values: object) -> pb.Extension:
    return pb.Extension(values={name: to_value(each) for name, each in values.items()})


def badge(**values: object) -> dict[str, pb.Extension]:
    """The extensions of a user whose organization has the schema BADGE."""
    return {BADGE: extension(**values)}


def schema_not_found(urn: str = BADGE):
    return refused(Reason.REASON_SCHEMA_NOT_FOUND, StatusCode.NOT_FOUND, urn=urn)


def schema_exists(urn: str = BADGE):
    return refused(Reason.REASON_SCHEMA_EXISTS, StatusCode.ALREADY_EXISTS, urn=urn)


def schema_in_use(urn: str = BADGE):
    return refused(Reason.REASON_SCHEMA_IN_USE, StatusCode.FAILED_PRECONDITION, urn=urn)


def immutable(field: str):
    return refused(Reason.REASON_FIELD_IMMUTABLE, StatusCode.INVALID_ARGUMENT, field=field)
