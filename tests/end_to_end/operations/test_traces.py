"""One trace from the client's request to its SQL statements."""

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.stack import Stack, running_stack

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@dataclass
class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Collects the spans of all processes."""

    spans: list[tuple[str, Span]] = field(default_factory=list)
    text: str = ""

    def Export(  # noqa: N802 - the contract's name
        self, request: pb.ExportTraceServiceRequest, _: object
    ) -> object:
        self.text += str(request)
        for resource in request.resource_spans:
            names = [a.value.string_value for a in resource.resource.attributes
                     if a.key == "service.name"]  # fmt: skip
            for scope in resource.scope_spans:
                self.spans += [(names[0], span) for span in scope.spans]
        return pb.ExportTraceServiceResponse()

    def of_trace(self) -> list[tuple[str, Span]]:
        return [(name, span) for name, span in self.spans if span.trace_id.hex() == TRACE]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    receiver = Receiver()
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    yield receiver
    server.stop(None).wait()


def send(stack: Stack, **headers: str) -> None:
    request = urllib.request.Request(
        f"{stack.url}/Users?filter=userName+eq+%22ann-the-secret%22",
        headers={"Authorization": f"Bearer {stack.token}", **headers},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200


def test_trace_spans_http_grpc_and_sql_and_is_in_each_log(receiver: Receiver, tmp_path: Path):
    with running_stack(tmp_path) as stack:
        send(stack)  # afterwards the gateway has cached the organization's schemas
        send(stack, traceparent=f"00-{TRACE}-{PARENT}-01")
        token = stack.token
    # Each process exports its remaining spans before it exits.
    spans = {span.span_id.hex(): (name, span) for name, span in receiver.of_trace()}

    statement = next(
        span for name, span in spans.values() if name == "usersvc" and "SELECT" in span.name
    )
    path, at = [], statement.span_id.hex()
    while at != PARENT:
        name, span = spans[at]
        path.append((name, span.name))
        at = span.parent_span_id.hex()
    method = "cloudacademy.users.v1.UserService/ListUsers"
    assert path == [
        ("usersvc", statement.name),
        ("usersvc", method),
        ("gateway", method),
        ("gateway", "GET /Users"),
    ]
    (served,) = [span for _, span in spans.values() if span.name == "GET /Users"]
    attributes = {each.key: each.value for each in served.attributes}
    assert attributes["http.request.method"].string_value == "GET"
    assert attributes["http.route"].string_value == "/Users"
    assert attributes["http.response.status_code"].int_value == 200
    assert "secret" not in receiver.text
    assert token not in receiver.text
    request_ids = set()
    for process in ("gateway", "usersvc"):
        json_lines = [line for line in stack.log(process).splitlines() if line.startswith("{")]
        lines = [json.loads(line) for line in json_lines]
        of_trace = [line for line in lines if line.get("trace_id") == TRACE]
        assert len(of_trace) == 1
        assert of_trace[0]["organization_id"]
        request_ids.add(of_trace[0]["request_id"])
    assert len(request_ids) == 1
