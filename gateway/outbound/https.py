"""The HTTPS client of outgoing requests."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import aiohttp

from gateway.outbound.address_rule import AddressRule
from gateway.outbound.connectors import Message, Route
from gateway.outbound.decompression import ACCEPT_ENCODING, read_body
from gateway.outbound.errors import OutboundError, OutboundReason
from gateway.outbound.slots import OutboundSlots
from gateway.outbound.target import Target
from gateway.outbound.telemetry import OutboundMetrics, Outcome, Purpose

SECONDS: Final = 10.0
MAX_BYTES: Final = 1024 * 1024
USER_AGENT: Final = "CloudAcademy-Provisioning/1.0"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one request."""

    seconds: float = SECONDS
    """The time limit of the whole request, from the DNS lookup to the end of the response."""
    max_bytes: int = MAX_BYTES
    """The limit of the response's body, both as it is sent and decompressed."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request on behalf of an organization."""

    url: str
    purpose: Purpose
    organization_id: str
    method: Literal["GET", "POST"] = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    hosts: Collection[str] | None = None
    """The permitted hosts, in lower case; None permits every host with public addresses."""
    limits: Limits = Limits()
    reads_body: bool = True
    """False if the caller needs only the status of the response, as for a webhook."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response with a status other than 3xx; the caller decides about 4xx and 5xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """Decompressed; empty if `reads_body` was False."""


class HttpsClient:
    """Sends HTTPS requests to hosts that customers name.

    No redirect is followed, no cookie is kept, and every certificate is verified.
    """

    def __init__(
        self, route: Route, rule: AddressRule, slots: OutboundSlots, metrics: OutboundMetrics
    ) -> None:
        self._route = route
        self._rule = rule
        self._slots = slots
        self._metrics = metrics

    async def send(self, request: Request) -> Response:
        """Send a request, and return its response. Refuses with any OutboundReason."""
        with self._metrics.request(request.method, request.purpose) as outcome:
            target = Target.parse(request.url, self._rule, request.hosts)
            async with self._slots.slot(request.organization_id, target.host):
                return await self._exchange(request, target, outcome)

    async def _exchange(self, request: Request, target: Target, outcome: Outcome) -> Response:
        headers = {
            "User-Agent": USER_AGENT,
            **request.headers,
            "Accept-Encoding": ACCEPT_ENCODING,
        }
        message = Message(request.method, headers, request.body)
        with _as_outbound_errors(target.host):
            async with (
                asyncio.timeout(request.limits.seconds),
                self._route.send(target, message) as response,
            ):
                outcome.status = str(response.status)
                return await _read(request, response, outcome)


async def _read(request: Request, response: aiohttp.ClientResponse, outcome: Outcome) -> Response:
    if 300 <= response.status < 400:
        raise OutboundError(
            OutboundReason.REDIRECTED, f"the response is a redirect ({response.status})"
        )
    if response.status >= 400:
        outcome.error = str(response.status)
    body = b""
    if request.reads_body:
        encoding = response.headers.get("Content-Encoding", "")
        body = await read_body(
            response.content.iter_any(), encoding.strip(), request.limits.max_bytes
        )
    return Response(response.status, response.headers.copy(), body)


@contextmanager
def _as_outbound_errors(host: str) -> Iterator[None]:
    """Convert aiohttp's errors, without their texts, which quote what the host sent."""
    try:
        yield
    except TimeoutError:
        raise OutboundError(OutboundReason.TIMEOUT, f"{host} did not respond in time") from None
    except aiohttp.ClientSSLError as error:
        raise OutboundError(
            OutboundReason.TLS_FAILED, f"no secure connection to {host}: {_tls_problem(error)}"
        ) from None
    except (aiohttp.ClientHttpProxyError, aiohttp.ClientProxyConnectionError):
        raise OutboundError(
            OutboundReason.PROXY_FAILED, f"the proxy does not connect to {host}"
        ) from None
    except aiohttp.ClientResponseError:
        raise OutboundError(
            OutboundReason.INVALID_RESPONSE, f"{host} sent an invalid response"
        ) from None
    except (aiohttp.ClientError, OSError):
        raise OutboundError(
            OutboundReason.CONNECTION_FAILED, f"no connection to {host}, or it was lost"
        ) from None


def _tls_problem(error: BaseException) -> str:
    """The verification error of OpenSSL, which names the problem of the certificate."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    return str(getattr(cause, "verify_message", "") or "the TLS handshake failed")
