"""Server reflection in the versions v1 and v1alpha, for tools such as grpcurl.

Clients ask for v1 first; some ask for nothing else. The messages of both versions are the same on
the wire, so one servicer answers both. No contract imports the messages of google/rpc that are in
`grpc-status-details-bin`; they are described as well, because `chassis.rpc.status` imports them.
"""

from collections.abc import Iterable
from typing import Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1ALPHA: Final[str] = reflection.SERVICE_NAME
V1: Final = V1ALPHA.replace("v1alpha", "v1")
NAMES: Final = (V1, V1ALPHA)
METHODS: Final = tuple(f"/{name}/ServerReflectionInfo" for name in NAMES)


def enable_reflection(services: Iterable[str], server: grpc.aio.Server) -> None:
    """Add both versions to a server; they list `services` and themselves."""
    _describe_v1(descriptor_pool.Default())
    servicer = reflection.aio.ReflectionServicer((*services, *NAMES))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
            for name in NAMES
        )
    )


def _describe_v1(pool: descriptor_pool.DescriptorPool) -> None:
    """Add the file of v1, which the library lacks: that of v1alpha in another package."""
    alpha = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    v1 = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    v1.name = "grpc/reflection/v1/reflection.proto"
    pool.AddSerializedFile(v1.SerializeToString())
