"""The endpoint /Bulk (RFC 7644 section 3.7): each operation as the single request it stands for."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from chassis.observability.log import Logger
from gateway.api.request import MAX_INLINE_BYTES, RefusedPart, ScimRequest
from gateway.api.routing import Table, path_segments
from gateway.http.responses import Document, ScimResponse, answer
from gateway.scim.bulk import plan as bulk_plan
from gateway.scim.bulk import references
from gateway.scim.bulk import request as bulk
from gateway.scim.bulk.plan import Complete, Referrers, Run, Step
from gateway.scim.bulk.request import BulkRequest, Operation
from gateway.scim.bulk.response import Result, bulk_response
from gateway.scim.errors import ScimError, invalid_value, shown
from gateway.scim.patch import PATCH_OP_URN
from gateway.scim.responses import dumps

SECONDS: Final = 60.0
"""After this time no further operation of a bulk request is begun."""

Computed = TypeVar("Computed")
Seconds = Callable[[], float]
"""A clock that only ever goes forward."""


class Bulk:
    """Carries out bulk requests on the resources of a table, one operation after the other."""

    def __init__(self, resources: Table, log: Logger, seconds: Seconds) -> None:
        self._resources = resources
        self._log = log
        self._seconds = seconds

    async def post(self, exchange: ScimRequest) -> ScimResponse:
        """POST /Bulk: 200 with a result for each operation that was carried out or refused."""
        plan = await exchange.parsed(_Plan.of)
        exchange.count_more(max(0, len(plan.request.operations) - 1))
        execution = _Execution(self, exchange, plan, self._seconds() + SECONDS)
        results = await execution.results()
        exchange.refused.extend(
            RefusedPart(each.operation.method, each.operation.path, each.operation.data, each.error)
            for each in results
            if each.error is not None
        )
        return answer(bulk_response(results))

    def is_over(self, end: float) -> bool:
        """Whether a moment has passed."""
        return self._seconds() >= end

    async def send(
        self,
        exchange: ScimRequest,
        method: str,
        path: str,
        data: Document,
        *,
        version: str | None = None,
        size: int = 0,
    ) -> ScimResponse:
        """Answer one operation, with data of about `size` bytes, as if it had come alone.

        All that fails is a ScimError.
        """
        match = self._resources.match(method, path_segments(path))
        try:
            async with exchange.memory.for_part() as memory:
                part = dataclasses.replace(
                    exchange,
                    resource_id=match.resource_id,
                    parameters={},
                    headers={} if version is None else {"If-Match": version},
                    load=lambda: data,
                    body_bytes=size,
                    memory=memory,
                    omits_body=True,
                )
                return await match.handler(part)
        except ScimError:
            raise
        except Exception as fault:  # noqa: BLE001 - what the other operations did must be told
            self._log.error("internal error", request_id=exchange.request_id, exc_info=fault)
            raise ScimError(
                500,
                None,
                "Cloud Academy failed to answer; tell its support the id "
                f"{exchange.request_id}. The operation may have happened.",
            ) from None


@dataclass(frozen=True, slots=True)
class _Plan:
    """A bulk request, and all of its execution that can be computed before it begins."""

    request: BulkRequest
    steps: Sequence[Step]
    referrers: Referrers
    sizes: Sequence[int]
    """The bytes of each operation's data, as JSON."""

    @classmethod
    def of(cls, document: Document) -> "_Plan":
        """Parse and plan a request; refuses what `bulk.parse` refuses."""
        request = bulk.parse(document)
        operations = request.operations
        return cls(
            request,
            bulk_plan.plan(operations),
            Referrers(operations),
            [len(dumps(each.data)) for each in operations],
        )


class _Execution:
    """One bulk request while it is carried out."""

    def __init__(self, sender: Bulk, exchange: ScimRequest, plan: _Plan, end: float) -> None:
        self._sender = sender
        self._exchange = exchange
        self._request = plan.request
        self._steps = plan.steps
        self._sizes = plan.sizes
        self._end = end
        self._ids: dict[str, str] = {}
        self._results: dict[int, Result] = {}
        self._incomplete: set[int] = set()
        self._failed: set[int] = set()
        self._referrers = plan.referrers
        # Operations that may not leave anything, and the bulkId whose circle stays open.
        self._lost: dict[int, str | None] = {}

    async def results(self) -> list[Result]:
        """Carry out the plan until it ends or too much failed; results in the request's order."""
        for step in self._steps:
            if self._has_failed_enough():
                break
            match step:
                case Run():
                    await self._run(step)
                case Complete():
                    await self._complete(step)
        for index in await self._undo(self._incomplete, None):
            # What the limit kept from being completed counts as not begun.
            del self._results[index]
        return [result for _, result in sorted(self._results.items())]

    def _has_failed_enough(self) -> bool:
        limit = self._request.fail_on_errors
        return limit is not None and len(self._failed) >= limit

    async def _run(self, step: Run) -> None:
        operation = self._request.operations[step.index]
        location = self._told_location(operation)
        try:
            if operation.refusal is not None:
                raise operation.refusal
            if step.index in self._lost:
                raise _refers_to_open(self._lost[step.index])
            self._check_time()
            path, data = await self._resolved(step)
            location = self._exchange.base_url + path
            reply = await self._sender.send(
                self._exchange,
                operation.method,
                path,
                data,
                version=operation.version,
                size=self._sizes[step.index],
            )
        except ScimError as error:
            self._fail(step.index, error, None if operation.method == "POST" else location)
            return
        self._succeed(step, reply, location)

    async def _resolved(self, step: Run) -> tuple[str, Document]:
        """The path and the data of an operation, with ids in the place of its references."""
        operation = self._request.operations[step.index]
        if not operation.references:
            return operation.path, dict(operation.data or {})

        def resolve() -> tuple[str, Document]:
            data = _without(operation, step.without)
            self._check_references({*references.of_path(operation.path), *references.of_data(data)})
            path = references.resolved_path(operation.path, self._ids)
            return path, references.resolved(data, self._ids)

        return await self._computed(self._sizes[step.index], resolve)

    async def _computed(self, size: int, function: Callable[[], Computed]) -> Computed:
        """The result of a function that reads `size` bytes of data, in the worker if many."""
        return function() if size <= MAX_INLINE_BYTES else await self._exchange.offload(function)

    def _told_location(self, operation: Operation) -> str | None:
        """Where an operation was to be; section 3.7 wants it of one that failed, too."""
        path = operation.path
        if not path.startswith("/") or any(references.of_path(path)):
            return None
        return self._exchange.base_url + path

    def _succeed(self, step: Run, reply: ScimResponse, location: str) -> None:
        operation = self._request.operations[step.index]
        location = reply.headers.get("Location", location)
        self._results[step.index] = Result(
            operation, reply.status, location, reply.headers.get("ETag")
        )
        if operation.creates is not None:
            self._ids[operation.creates] = location.rpartition("/")[2]
        if step.without:
            self._incomplete.add(step.index)

    async def _complete(self, step: Complete) -> None:
        if step.index not in self._incomplete:
            return  # it was not even created
        data = _only(self._request.operations[step.index], step.members)
        created = self._results[step.index]
        size = self._sizes[step.index]

        def resolve() -> Document:
            self._check_references(references.of_data(data))
            return _adding(references.resolved(data, self._ids))

        try:
            addition = await self._computed(size, resolve)
            reply = await self._sender.send(
                self._exchange, "PATCH", self._path(created), addition, size=size
            )
        except ScimError as error:
            await self._give_up(step.index, error)
        else:
            version = reply.headers.get("ETag", created.version)
            self._results[step.index] = dataclasses.replace(created, version=version)
        self._incomplete.discard(step.index)

    async def _give_up(self, index: int, error: ScimError) -> None:
        """Fail an operation whose circle cannot be closed, and with it all that refer to it.

        Section 3.7.1 has the 409 for a circle: its members were sent to refer
        to each other, so without one of them none is what the client asked for.
        """
        bulk_id = self._request.operations[index].creates
        for each in await self._undo([index], bulk_id):
            self._fail(each, _refers_to_open(bulk_id), None)
        self._fail(index, _unresolved(error), None)

    async def _undo(self, indexes: Iterable[int], bulk_id: str | None) -> list[int]:
        """Take back what operations and all that refer to them created; which those were."""
        lost = self._referrers.closure(indexes, self._lost)
        self._lost.update(dict.fromkeys(lost, bulk_id))
        done = [
            index
            for index in sorted(lost & self._results.keys())
            if self._results[index].error is None
        ]
        for index in done:
            await self._remove(self._results[index])
            self._incomplete.discard(index)
        return done

    async def _remove(self, result: Result) -> None:
        """Take back what was created: an operation that is told to have failed leaves nothing."""
        if result.operation.creates is not None:
            self._ids.pop(result.operation.creates, None)
        try:
            await self._sender.send(self._exchange, "DELETE", self._path(result), {})
        except ScimError:
            return  # gone already, or the service is: the client reads before it repeats

    def _path(self, result: Result) -> str:
        return (result.location or "").removeprefix(self._exchange.base_url)

    def _fail(self, index: int, error: ScimError, location: str | None) -> None:
        operation = self._request.operations[index]
        self._failed.add(index)
        self._results[index] = Result(operation, error.status, location, error=error)

    def _check_time(self) -> None:
        if self._sender.is_over(self._end):
            raise ScimError(
                503,
                None,
                f"The bulk request took {SECONDS:.0f} seconds before this operation was begun. "
                "It was not carried out; send it again, with fewer others.",
            )

    def _check_references(self, bulk_ids: set[str]) -> None:
        for bulk_id in sorted(bulk_ids - self._ids.keys()):
            raise invalid_value(
                f"The operation with the bulkId {shown(bulk_id)}, which this one refers to, "
                "created nothing. Mend that one and send both again."
            )


def _without(operation: Operation, members: frozenset[str]) -> Mapping[str, Any]:
    data = operation.data or {}
    return {key: value for key, value in data.items() if key not in members}


def _only(operation: Operation, members: frozenset[str]) -> Mapping[str, Any]:
    data = operation.data or {}
    return {key: value for key, value in data.items() if key in members}


def _adding(members: Document) -> Document:
    """A PATCH that adds members which a resource was created without."""
    return {"schemas": [PATCH_OP_URN], "Operations": [{"op": "add", "value": members}]}


def _refers_to_open(bulk_id: str | None) -> ScimError:
    """Section 3.7.1 as well: the refusal of what cannot be without a circle that stays open."""
    return ScimError(
        409,
        None,
        f"The operation with the bulkId {shown(bulk_id)}, which this one refers to, directly or "
        "through others, is part of a circle of references that could not be closed. Nothing of "
        "either was kept; mend that one and send both again.",
    )


def _unresolved(error: ScimError) -> ScimError:
    """Section 3.7.1: a circle that cannot be resolved is a conflict; a fault of ours is not."""
    if error.status >= 500:
        return error
    return ScimError(
        409,
        None,
        "Resources of this bulk request refer to each other in a circle that could not be "
        f"closed: {error.detail}",
    )
