"""The HTTP application: every request in, exactly one SCIM answer and one log line out."""

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
from gateway.api.routing import Table, path_segments
from gateway.auth.authenticator import Authenticator, Caller
from gateway.http.body import MAX_BODY_BYTES, Bodies, Body
from gateway.http.compute_worker import ComputeWorker
from gateway.http.cpu_meter import CpuMeter
from gateway.http.response_memory import Reservation, ResponseMemory
from gateway.http.responses import Document, ScimResponse, error_answer
from gateway.http.streaming import BROKEN_OFF, send
from gateway.limits.admission import AdmissionControl
from gateway.limits.rejections import RejectedError
from gateway.provisioning_log.entry import Refused
from gateway.provisioning_log.writer import RejectionLog
from gateway.scim.errors import ScimError
from gateway.scim.responses import dumps
from gateway.scim.schema import USER, ResourceType

PREFIX: Final = "/webhooks/ad/v1/scim"
HOME: Final = "/dashboard/"
NOBODY: Final = Caller("", "")

_NOTED_AT_ONCE: Final = 25
"""How many refused parts of a request are noted before others have their turn."""
_WITH_BODY: Final = ("PATCH", "POST", "PUT")
_TENANT: Final = path_segments(PREFIX)
_UNEXPECTED: Final = "An Expect other than 100-continue is not understood; leave it out."
_OUTSIDE: Final = f"There is nothing here. The Tenant URL in Entra ends with {PREFIX}."


class ScimEndpoint:
    """Answers everything below the Tenant URL."""

    def __init__(
        self,
        table: Table,
        authenticator: Authenticator,
        resource_types: ResourceTypes,
        base_url: str,
        *,
        log: Logger,
        refusals: RejectionLog,
        gate: AdmissionControl,
        bodies: Bodies,
        worker: ComputeWorker,
        memory: ResponseMemory,
    ) -> None:
        self._table = table
        self._authenticator = authenticator
        self._resource_types = resource_types
        self._base_url = base_url
        self._log = log
        self._refusals = refusals
        self._gate = gate
        self._bodies = bodies
        self._worker = worker
        self._memory = memory

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Find the route, verify the key, let the route answer; turn refusals into answers."""
        story = _Story(uuid4().hex)
        try:
            return await self._respond(request, story)
        finally:
            if story.memory is not None:
                story.memory.release()

    async def _respond(self, request: web.Request, story: "_Story") -> web.StreamResponse:
        try:
            answer = await self._answer_or_error(request, story)
        except RejectedError as error:  # a line for each would be a load, too
            self._gate.turned_away(error, story.caller.organization_id)
            return self._response(error_answer(error), story)
        if story.error is not None or story.parts:
            await self._note_refusals(request, story)
        # An exception, its traceback, this frame and the story form a cycle, which would keep the
        # request in memory until the next garbage collection.
        story.error = None
        answer = _within_reserved_memory(answer, story)
        return await self._send(request, answer, story)

    async def _answer_or_error(self, request: web.Request, story: "_Story") -> ScimResponse:
        """The answer of the route, or the error response for what it raised.

        Raises RejectedError: such a request is neither logged nor put into the provisioning log.
        """
        try:
            return await self._answer(request, story)
        except RejectedError:
            raise
        except ScimError as error:
            story.scim_type, story.error = error.scim_type, error
        except web.HTTPException as error:
            story.error = _from_http(error)
        except Exception as fault:  # noqa: BLE001 - the outermost handler
            self._log.error("internal error", request_id=story.request_id, exc_info=fault)
            story.error = _fault(story.request_id)
        return error_answer(story.error)

    async def _send(
        self, request: web.Request, answer: ScimResponse, story: "_Story"
    ) -> web.StreamResponse:
        """Send a streamed answer, or leave a complete one to aiohttp; log the request."""
        response = self._response(answer, story)
        try:
            if answer.rest is not None:
                story.body = story.parsed = None  # the body is not counted any more
                await self._charged(story, send(request, response, answer))
        finally:
            self._tell(request, answer, story, response.get(BROKEN_OFF))
        return response

    def _response(self, answer: ScimResponse, story: "_Story") -> web.StreamResponse:
        response = answer.response(story.request_id)
        if story.caller is not NOBODY:
            response.headers.update(self._gate.headers(story.caller.organization_id))
        return response

    async def _answer(self, request: web.Request, story: "_Story") -> ScimResponse:
        segments = path_segments(request.rel_url.raw_path)
        if segments[: len(_TENANT)] != _TENANT:
            raise ScimError(404, None, _OUTSIDE)
        match = self._table.match(request.method, segments[len(_TENANT) :])
        story.endpoint, story.resource_id = match.endpoint, match.resource_id
        if match.public:
            return await match.handler(self._exchange(request, story, USER))
        story.caller = await self._authenticator.authenticate(
            request.headers.get("Authorization"), request.remote or "", story.request_id
        )
        organization_id = story.caller.organization_id
        with self._bodies.of(organization_id) as hold:
            story.body = Body(request, hold)
            has_body = request.method in _WITH_BODY
            first = (lambda: self._receive(story)) if has_body else None
            async with self._gate.entered(organization_id, first):
                user_type = await self._resource_types.user(organization_id, story.request_id)
                exchange = self._exchange(request, story, user_type)
                return await self._charged(story, match.handler(exchange))

    async def _charged(self, story: "_Story", work: Coroutine[Any, Any, Result]) -> Result:
        """Await a part of a request, and charge its CPU time to the organization."""
        before = story.meter.seconds
        try:
            return await story.meter.measure(work)
        finally:
            spent = story.meter.seconds - before
            self._gate.charge_cpu(story.caller.organization_id, spent)

    async def _receive(self, story: "_Story") -> None:
        """Receive the body, and charge its bytes to the organization before it is parsed."""
        body = story.body
        assert body is not None  # noqa: S101 - set by the only caller
        try:
            await body.receive()
        finally:
            self._gate.charge_bytes(story.caller.organization_id, body.received_bytes)

    def _exchange(
        self, request: web.Request, story: "_Story", user_type: ResourceType
    ) -> ScimRequest:
        caller = story.caller
        story.memory = self._memory.reservation(caller.organization_id)
        return ScimRequest(
            request_id=story.request_id,
            base_url=self._base_url,
            caller=caller,
            resource_id=story.resource_id,
            parameters=parameters(request),
            headers=request.headers,
            load=story.document,
            memory=story.memory,
            user_type=user_type,
            refused=story.parts,
            count_more=lambda requests: self._gate.count_more(caller.organization_id, requests),
            body_bytes=len(story.body.data) if story.body else 0,
            offload=lambda function: self._offload(story, function),
        )

    async def _offload(self, story: "_Story", function: Callable[[], Result]) -> Result:
        return await self._worker.run(story.caller.organization_id, function, story.meter)

    async def _note_refusals(self, request: web.Request, story: "_Story") -> None:
        """Put what was refused into the provisioning log; no fault there changes the answer."""
        try:
            for number, refused in enumerate(_refused(request, story), 1):
                self._refusals.note(refused)
                if number % _NOTED_AT_ONCE == 0:  # a bulk request has up to a thousand
                    await asyncio.sleep(0)
        except Exception as fault:  # noqa: BLE001 - the request has its answer
            self._refusals.count_lost()
            self._log.error("log entry not created", request_id=story.request_id, exc_info=fault)

    def _tell(
        self, request: web.Request, answer: ScimResponse, story: "_Story", abort_reason: str | None
    ) -> None:
        # Neither the path nor the query as they came: they may hold names, even keys.
        self._log.info(
            "request",
            method=request.method,
            endpoint=story.endpoint,
            resource_id=_id(story.resource_id),
            status=answer.status,
            scim_type=story.scim_type,
            duration_ms=round((time.perf_counter() - story.started) * 1000, 2),
            request_id=story.request_id,
            organization_id=story.caller.organization_id,
            key_id=story.caller.key_id,
            **({} if abort_reason is None else {"abort_reason": abort_reason}),
        )


@dataclass(slots=True)
class _Story:
    """What the log line of a request will tell."""

    request_id: str
    endpoint: str = ""
    resource_id: str = ""
    caller: Caller = NOBODY
    scim_type: str | None = None
    error: ScimError | None = None
    body: Body | None = None
    memory: Reservation | None = None
    parts: list[RefusedPart] = field(default_factory=list)
    meter: CpuMeter = field(default_factory=CpuMeter)
    started: float = field(default_factory=time.perf_counter)

    parsed: Document | None = None
    """What the body says, once the route has asked for it."""

    def document(self) -> Document:
        """What the body says."""
        self.parsed = {} if self.body is None else self.body.document()
        return self.parsed


def _within_reserved_memory(answer: ScimResponse, story: _Story) -> ScimResponse:
    """Stream an answer that reserved memory, so that the memory is given back once it is sent."""
    if story.memory is None or not story.memory.size:
        return answer
    if answer.rest is None:
        story.memory.keep(len(answer.body))
    return answer.streamed()


def _refused(request: web.Request, story: _Story) -> Iterator[Refused]:
    """The request if it was refused, else what was refused of it."""
    if story.error is not None:
        yield _as_refused(request, story, story.error)
    for part in story.parts:
        endpoint, resource_id, *_ = [*path_segments(part.path), "", ""]
        yield replace(
            _as_refused(request, story, part.error),
            method=part.method,
            target=part.path,
            endpoint=endpoint,
            resource_id=_id(resource_id),
            body=b"" if part.data is None else dumps(part.data),
            document=part.data,
        )


def _as_refused(request: web.Request, story: _Story, error: ScimError) -> Refused:
    return Refused(
        caller=story.caller,
        request_id=story.request_id,
        method=request.method,
        target=request.rel_url.raw_path_qs.partition(PREFIX)[2],
        endpoint=story.endpoint,
        resource_id=_id(story.resource_id),
        body=b"" if story.body is None else story.body.data,
        client_address=request.remote or "",
        error=error,
        document=story.parsed,
    )


def _id(text: str) -> str:
    return text if is_uuid(text) else ""


def application(
    scim: ScimEndpoint,
    ready: Callable[[], Awaitable[bool]],
    pages: Iterable[web.RouteDef] = (),
) -> web.Application:
    """The application: the probes, the pages for people, and SCIM for all else.

    A path outside the Tenant URL is a Tenant URL that was mistyped.
    """
    app = web.Application(client_max_size=MAX_BODY_BYTES)

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        is_ready = await ready()
        return web.json_response({"ready": is_ready}, status=200 if is_ready else 503)

    async def root(request: web.Request) -> web.StreamResponse:
        if "text/html" in request.headers.get("Accept", ""):  # a person's browser
            return web.Response(status=303, headers={"Location": HOME, "Cache-Control": "no-store"})
        return await scim(request)

    app.router.add_get("/", root)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.add_routes(pages)
    # With line breaks, too, which a dot of a pattern leaves out.
    app.router.add_route("*", r"/{path:[\s\S]*}", scim, expect_handler=_expectation)
    app.on_response_prepare.append(_end_of_what_may_change)
    return app


async def _expectation(request: web.Request) -> web.StreamResponse | None:
    """Let a client go on that waits for 100-continue; refuse (417) whatever else it may expect."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        return error_answer(ScimError(417, None, _UNEXPECTED)).response(uuid4().hex)
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer has not begun
    return None


async def _end_of_what_may_change(request: web.Request, response: web.StreamResponse) -> None:
    """End a connection on which another protocol, or a tunnel, was asked for.

    The parser takes what follows for that protocol and never gives it to anybody, or reads a
    tunnel's content as requests (RFC 9110 section 9.3.6): whoever waits for an answer has to be
    told that there is none.
    """
    if "Upgrade" in request.headers or request.method == METH_CONNECT:
        response.force_close()
        response.headers["Connection"] = "close"


def _from_http(error: web.HTTPException) -> ScimError:
    return ScimError(error.status, None, error.reason)


def _fault(request_id: str) -> ScimError:
    return ScimError(
        500, None, f"Cloud Academy failed to answer; tell its support the id {request_id}."
    )
