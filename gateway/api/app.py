"""The HTTP application: each request gets one SCIM response and one log line."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import uuid4

from aiohttp import web
from aiohttp.hdrs import METH_CONNECT

from chassis.observability.log import Logger
from chassis.rpc.uuids import is_uuid
from gateway.api.request import RefusedPart, Result, ScimRequest, parameters
from gateway.api.resource_types import ResourceTypes
from gateway.api.routing import RouteTable, path_segments
from gateway.auth.authenticator import Authenticator, Caller
from gateway.http.body import MAX_BODY_BYTES, Body, BodyMemory
from gateway.http.compute_worker import ComputeWorker
from gateway.http.cpu_meter import CpuMeter
from gateway.http.response_memory import ResponseMemory, ResponseReservation
from gateway.http.responses import Document, ScimResponse, error_response
from gateway.http.streaming import ABORT_REASON, send
from gateway.limits.admission import AdmissionControl
from gateway.limits.rejections import RejectedError
from gateway.provisioning_log.clients import client_name
from gateway.provisioning_log.entry import RefusedRequest
from gateway.provisioning_log.writer import RefusalLog
from gateway.scim.errors import ScimError
from gateway.scim.responses import dumps
from gateway.scim.schema import USER, ResourceType

PREFIX: Final = "/webhooks/ad/v1/scim"
PORTAL_PATH: Final = "/dashboard/"
ANONYMOUS: Final = Caller("", "")

_RECORDED_PER_TURN: Final = 25
"""The number of refused operations recorded before other requests may run."""
_METHODS_WITH_BODY: Final = ("PATCH", "POST", "PUT")
_PREFIX_SEGMENTS: Final = path_segments(PREFIX)
_UNSUPPORTED_EXPECT: Final = "The header Expect supports only 100-continue; remove it."
_NOT_FOUND: Final = f"This path does not exist. The Tenant URL ends with {PREFIX}."


class ScimEndpoint:
    """Handles every request below the Tenant URL."""

    def __init__(
        self,
        table: RouteTable,
        authenticator: Authenticator,
        resource_types: ResourceTypes,
        base_url: str,
        *,
        log: Logger,
        refusal_log: RefusalLog,
        admission: AdmissionControl,
        bodies: BodyMemory,
        worker: ComputeWorker,
        memory: ResponseMemory,
    ) -> None:
        self._table = table
        self._authenticator = authenticator
        self._resource_types = resource_types
        self._base_url = base_url
        self._log = log
        self._refusal_log = refusal_log
        self._admission = admission
        self._bodies = bodies
        self._worker = worker
        self._memory = memory

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Match the route, verify the key and call the handler; errors become error responses."""
        name = client_name(request.headers.get("User-Agent"), request.raw_path)
        state = _RequestState(uuid4().hex, name)
        try:
            return await self._respond(request, state)
        finally:
            if state.memory is not None:
                state.memory.release_all()

    async def _respond(self, request: web.Request, state: "_RequestState") -> web.StreamResponse:
        try:
            response = await self._dispatch_or_error(request, state)
        except RejectedError as error:  # not logged: that would add to the load
            self._admission.count_rejection(error, state.caller.organization_id)
            return self._to_http(error_response(error), state)
        if state.error is not None or state.refused_parts:
            await self._record_refusals(request, state)
        # Break the cycle error → traceback → this frame → state, which would keep the request in
        # memory until the next garbage collection.
        state.error = None
        response = _within_reserved_memory(response, state)
        return await self._send(request, response, state)

    async def _dispatch_or_error(
        self, request: web.Request, state: "_RequestState"
    ) -> ScimResponse:
        """The response of the handler, or the error response for its exception.

        Raises RejectedError unchanged: rejections are in neither log.
        """
        try:
            return await self._dispatch(request, state)
        except RejectedError:
            raise
        except ScimError as error:
            state.scim_type, state.error = error.scim_type, error
        except web.HTTPException as error:
            state.error = _from_http(error)
        except Exception as fault:  # noqa: BLE001 - the outermost handler
            self._log.error("internal error", request_id=state.request_id, exc_info=fault)
            state.error = _internal_error(state.request_id)
        return error_response(state.error)

    async def _send(
        self, request: web.Request, response: ScimResponse, state: "_RequestState"
    ) -> web.StreamResponse:
        """Send a streamed response, or leave a complete one to aiohttp; log the request."""
        http_response = self._to_http(response, state)
        try:
            if response.rest is not None:
                state.body = state.parsed = None  # frees the memory of the body
                await self._charge_cpu(state, send(request, http_response, response))
        finally:
            self._log_request(request, response, state, http_response.get(ABORT_REASON))
        return http_response

    def _to_http(self, response: ScimResponse, state: "_RequestState") -> web.StreamResponse:
        http_response = response.to_http(state.request_id)
        if state.caller is not ANONYMOUS:
            http_response.headers.update(self._admission.headers(state.caller.organization_id))
        return http_response

    async def _dispatch(self, request: web.Request, state: "_RequestState") -> ScimResponse:
        segments = path_segments(request.rel_url.raw_path)
        if segments[: len(_PREFIX_SEGMENTS)] != _PREFIX_SEGMENTS:
            raise ScimError(404, None, _NOT_FOUND)
        match = self._table.match(request.method, segments[len(_PREFIX_SEGMENTS) :])
        state.endpoint, state.resource_id = match.endpoint, match.resource_id
        if match.public:
            return await match.handler(self._scim_request(request, state, USER))
        state.caller = await self._authenticator.authenticate(
            request.headers.get("Authorization"), request.remote or "", state.request_id
        )
        organization_id = state.caller.organization_id
        with self._bodies.reservation(organization_id) as reservation:
            state.body = Body(request, reservation)
            has_body = request.method in _METHODS_WITH_BODY
            prepare = (lambda: self._receive(state)) if has_body else None
            async with self._admission.slot(organization_id, prepare):
                user_type = await self._resource_types.user(organization_id, state.request_id)
                scim_request = self._scim_request(request, state, user_type)
                return await self._charge_cpu(state, match.handler(scim_request))

    async def _charge_cpu(
        self, state: "_RequestState", work: Coroutine[Any, Any, Result]
    ) -> Result:
        """Await a part of a request and charge its CPU time to the organization."""
        before = state.meter.seconds
        try:
            return await state.meter.measure(work)
        finally:
            seconds = state.meter.seconds - before
            self._admission.charge_cpu(state.caller.organization_id, seconds)

    async def _receive(self, state: "_RequestState") -> None:
        """Receive the body and charge its bytes to the organization before it is parsed."""
        body = state.body
        assert body is not None  # noqa: S101 - set by the only caller
        try:
            await body.receive()
        finally:
            self._admission.charge_bytes(state.caller.organization_id, body.received_bytes)

    def _scim_request(
        self, request: web.Request, state: "_RequestState", user_type: ResourceType
    ) -> ScimRequest:
        caller = state.caller
        state.memory = self._memory.reservation(caller.organization_id)
        return ScimRequest(
            request_id=state.request_id,
            base_url=self._base_url,
            caller=caller,
            resource_id=state.resource_id,
            parameters=parameters(request),
            headers=request.headers,
            parse_body=state.parse_body,
            memory=state.memory,
            client=state.client,
            user_type=user_type,
            refused=state.refused_parts,
            charge_requests=lambda requests: self._admission.charge_requests(
                caller.organization_id, requests
            ),
            body_bytes=len(state.body.data) if state.body else 0,
            offload=lambda function: self._offload(state, function),
            is_client_gone=lambda: request.transport is None or request.transport.is_closing(),
            extra_slots=_ExtraSlots(self._admission, caller.organization_id, state.meter),
            started=state.started,
        )

    async def _offload(self, state: "_RequestState", function: Callable[[], Result]) -> Result:
        return await self._worker.run(state.caller.organization_id, function, state.meter)

    async def _record_refusals(self, request: web.Request, state: "_RequestState") -> None:
        """Put the refused request or operations into the provisioning log.

        An error here is only logged: it must not change the response.
        """
        try:
            for number, refused in enumerate(_refused_requests(request, state), 1):
                self._refusal_log.record(refused)
                if number % _RECORDED_PER_TURN == 0:  # a bulk request has up to a thousand
                    await asyncio.sleep(0)
        except Exception as fault:  # noqa: BLE001 - the response is already decided
            self._refusal_log.count_dropped()
            self._log.error("log entry not created", request_id=state.request_id, exc_info=fault)

    def _log_request(
        self,
        request: web.Request,
        response: ScimResponse,
        state: "_RequestState",
        abort_reason: str | None,
    ) -> None:
        # Neither the raw path nor the query: they may contain names, even keys.
        self._log.info(
            "request",
            method=request.method,
            endpoint=state.endpoint,
            resource_id=_id(state.resource_id),
            status=response.status,
            scim_type=state.scim_type,
            duration_ms=round((time.perf_counter() - state.started) * 1000, 2),
            request_id=state.request_id,
            organization_id=state.caller.organization_id,
            key_id=state.caller.key_id,
            client=state.client,
            **({} if abort_reason is None else {"abort_reason": abort_reason}),
        )


@dataclass(slots=True)
class _RequestState:
    """The state of one request, from which its log line is written."""

    request_id: str
    client: str
    endpoint: str = ""
    resource_id: str = ""
    caller: Caller = ANONYMOUS
    scim_type: str | None = None
    error: ScimError | None = None
    body: Body | None = None
    memory: ResponseReservation | None = None
    refused_parts: list[RefusedPart] = field(default_factory=list)
    meter: CpuMeter = field(default_factory=CpuMeter)
    started: float = field(default_factory=time.perf_counter)

    parsed: Document | None = None
    """The parsed body, once the handler has read it."""

    def parse_body(self) -> Document:
        """Parse the body; {} if the request has none."""
        self.parsed = {} if self.body is None else self.body.document()
        return self.parsed


class _ExtraSlots:
    """The slots of an organization, and the meter of one request."""

    __slots__ = ("_admission", "_meter", "_organization_id")

    def __init__(self, admission: AdmissionControl, organization_id: str, meter: CpuMeter) -> None:
        self._admission = admission
        self._organization_id = organization_id
        self._meter = meter

    def try_acquire(self) -> bool:
        return self._admission.try_acquire_extra(self._organization_id)

    def release(self) -> None:
        self._admission.release(self._organization_id)

    def measure(self, part: Coroutine[Any, Any, None]) -> Awaitable[None]:
        return self._meter.measure(part)


def _within_reserved_memory(response: ScimResponse, state: _RequestState) -> ScimResponse:
    """Stream a response that reserved memory: the reservation then lasts until the end."""
    if state.memory is None or not state.memory.size:
        return response
    if response.rest is None:
        state.memory.release_all_but(len(response.body))
    return response.streamed()


def _refused_requests(request: web.Request, state: _RequestState) -> Iterator[RefusedRequest]:
    """The request itself if it was refused, and the operations of it that were refused."""
    if state.error is not None:
        yield _refused_request(request, state, state.error)
    for part in state.refused_parts:
        endpoint, resource_id, *_ = [*path_segments(part.path), "", ""]
        yield replace(
            _refused_request(request, state, part.error),
            method=part.method,
            target=part.path,
            endpoint=endpoint,
            resource_id=_id(resource_id),
            body=b"" if part.data is None else dumps(part.data),
            document=part.data,
        )


def _refused_request(
    request: web.Request, state: _RequestState, error: ScimError
) -> RefusedRequest:
    return RefusedRequest(
        caller=state.caller,
        request_id=state.request_id,
        client=state.client,
        method=request.method,
        target=request.rel_url.raw_path_qs.partition(PREFIX)[2],
        endpoint=state.endpoint,
        resource_id=_id(state.resource_id),
        body=b"" if state.body is None else state.body.data,
        client_address=request.remote or "",
        error=error,
        document=state.parsed,
    )


def _id(text: str) -> str:
    return text if is_uuid(text) else ""


def application(
    scim: ScimEndpoint,
    ready: Callable[[], bool],
    pages: Iterable[web.RouteDef] = (),
) -> web.Application:
    """The application: probes, pages, and the SCIM endpoint for all other paths.

    A path outside the Tenant URL gets a SCIM error: usually somebody mistyped the Tenant URL.
    """
    app = web.Application(client_max_size=MAX_BODY_BYTES)

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        is_ready = ready()
        return web.json_response({"ready": is_ready}, status=200 if is_ready else 503)

    async def root(request: web.Request) -> web.StreamResponse:
        if "text/html" in request.headers.get("Accept", ""):  # a browser
            return web.Response(
                status=303, headers={"Location": PORTAL_PATH, "Cache-Control": "no-store"}
            )
        return await scim(request)

    app.router.add_get("/", root)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.add_routes(pages)
    # [\s\S] matches every character; `.` would not match line breaks.
    app.router.add_route("*", r"/{path:[\s\S]*}", scim, expect_handler=_handle_expect)
    app.on_response_prepare.append(_close_after_upgrade)
    return app


async def _handle_expect(request: web.Request) -> web.StreamResponse | None:
    """Send 100 Continue to a client that expects it; refuse (417) any other expectation."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        return error_response(ScimError(417, None, _UNSUPPORTED_EXPECT)).to_http(uuid4().hex)
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the final response has not started
    return None


async def _close_after_upgrade(request: web.Request, response: web.StreamResponse) -> None:
    """Close the connection after a request for another protocol (Upgrade) or a tunnel (CONNECT).

    After an Upgrade, the parser discards all further bytes; after CONNECT, it reads the content of
    the tunnel as requests (RFC 9110 section 9.3.6). Without the close, a client would wait for
    responses that never come.
    """
    if "Upgrade" in request.headers or request.method == METH_CONNECT:
        response.force_close()
        response.headers["Connection"] = "close"


def _from_http(error: web.HTTPException) -> ScimError:
    return ScimError(error.status, None, error.reason)


def _internal_error(request_id: str) -> ScimError:
    return ScimError(
        500,
        None,
        "Cloud Academy had an internal error. "
        f"Contact Cloud Academy support with the id {request_id}.",
    )
