"""The endpoint /Bulk (RFC 7644 section 3.7): runs each operation like a single request."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from chassis.observability.log import Logger
from gateway.api.concurrent_steps import ConcurrentSteps
from gateway.api.request import MAX_INLINE_BYTES, RefusedPart, ScimRequest
from gateway.api.routing import RouteTable, path_segments
from gateway.http.responses import Document, ScimResponse, document_response
from gateway.scim.bulk import references
from gateway.scim.bulk.plan import Complete, Referrers, Run, Step
from gateway.scim.bulk.plan import plan as plan_steps
from gateway.scim.bulk.request import BulkRequest, Operation
from gateway.scim.bulk.request import parse as parse_bulk
from gateway.scim.bulk.response import Result, bulk_response
from gateway.scim.bulk.schedule import Schedule
from gateway.scim.bulk.schedule import schedule as schedule_steps
from gateway.scim.errors import ScimError, describe, invalid_value
from gateway.scim.patch import PATCH_OP_URN
from gateway.scim.responses import dumps

SECONDS: Final = 60.0
"""After this time, no further operation of a bulk request is started."""

Computed = TypeVar("Computed")
Seconds = Callable[[], float]
"""A monotonic clock, in seconds."""


class Bulk:
    """Executes bulk requests on the resources of a route table.

    Operations run at the same time if the results are as if they ran one after another.
    """

    def __init__(self, resources: RouteTable, log: Logger, seconds: Seconds) -> None:
        self._resources = resources
        self._log = log
        self._seconds = seconds

    async def post(self, request: ScimRequest) -> ScimResponse:
        """POST /Bulk: 200 with a result for each operation that was executed or refused."""
        plan = await request.parsed(_Plan.of)
        request.charge_requests(max(0, len(plan.bulk_request.operations) - 1))
        execution = _Execution(self, request, plan, self._seconds() + SECONDS)
        results = await execution.results()
        request.refused.extend(
            RefusedPart(each.operation.method, each.operation.path, each.operation.data, each.error)
            for each in results
            if each.error is not None
        )
        return document_response(bulk_response(results))

    def is_over(self, end: float) -> bool:
        """Whether the time `end` has passed."""
        return self._seconds() >= end

    async def execute(
        self,
        request: ScimRequest,
        method: str,
        path: str,
        data: Document,
        *,
        version: str | None = None,
        size: int = 0,
    ) -> ScimResponse:
        """Execute one operation, with data of about `size` bytes, like a single request.

        Every failure is raised as a ScimError.
        """
        match = self._resources.match(method, path_segments(path))
        try:
            async with request.memory.for_part() as memory:
                part = dataclasses.replace(
                    request,
                    resource_id=match.resource_id,
                    parameters={},
                    headers={} if version is None else {"If-Match": version},
                    parse_body=lambda: data,
                    body_bytes=size,
                    memory=memory,
                    omits_body=True,
                )
                return await match.handler(part)
        except ScimError:
            raise
        except Exception as fault:  # noqa: BLE001 - the response must report the other operations
            self._log.error("internal error", request_id=request.request_id, exc_info=fault)
            raise ScimError(
                500,
                None,
                "Cloud Academy had an internal error. The operation may have been executed. "
                f"Contact Cloud Academy support with the id {request.request_id}.",
            ) from None


@dataclass(frozen=True, slots=True)
class _Plan:
    """A bulk request, and everything about its execution that can be computed in advance."""

    bulk_request: BulkRequest
    steps: Sequence[Step]
    schedule: Schedule
    referrers: Referrers
    sizes: Sequence[int]
    """The size of each operation's data, in bytes of JSON."""

    @classmethod
    def of(cls, document: Document) -> "_Plan":
        """Parse and plan a bulk request; refuses what `gateway.scim.bulk.request.parse` refuses."""
        bulk_request = parse_bulk(document)
        operations = bulk_request.operations
        steps = plan_steps(operations)
        bodies = [dumps(each.data) for each in operations]
        return cls(
            bulk_request,
            steps,
            schedule_steps(bulk_request, steps, bodies),
            Referrers(operations),
            [len(each) for each in bodies],
        )


class _Execution:
    """The execution of one bulk request."""

    def __init__(self, bulk: Bulk, request: ScimRequest, plan: _Plan, end: float) -> None:
        self._bulk = bulk
        self._request = request
        self._bulk_request = plan.bulk_request
        self._steps = plan.steps
        self._schedule = plan.schedule
        self._sizes = plan.sizes
        self._end = end
        self._ids: dict[str, str] = {}
        self._results: dict[int, Result] = {}
        self._incomplete: set[int] = set()
        self._failed: set[int] = set()
        self._referrers = plan.referrers
        # Operation whose effect was removed → the bulkId of the cycle that could not be resolved.
        self._undone: dict[int, str | None] = {}

    async def results(self) -> list[Result]:
        """Execute the plan, at most until failOnErrors; results in the order of the request."""
        await ConcurrentSteps(self._schedule, self._execute, self._request.extra_slots).run()
        for index in await self._undo(self._incomplete, None):
            # Operations that were left incomplete count as not started.
            del self._results[index]
        return [result for _, result in sorted(self._results.items())]

    async def _execute(self, number: int) -> None:
        """Execute a step, unless failOnErrors operations failed or the client is gone."""
        if self._has_failed_enough() or self._request.is_client_gone():
            return
        match self._steps[number]:
            case Run() as step:
                await self._run(step)
            case Complete() as step:
                await self._complete(step)

    def _has_failed_enough(self) -> bool:
        limit = self._bulk_request.fail_on_errors
        return limit is not None and len(self._failed) >= limit

    async def _run(self, step: Run) -> None:
        operation = self._bulk_request.operations[step.index]
        location = self._expected_location(operation)
        try:
            if operation.refusal is not None:
                raise operation.refusal
            if step.index in self._undone:
                raise _refers_to_unresolved_cycle(self._undone[step.index])
            self._check_time()
            path, data = await self._resolve(step)
            location = self._request.base_url + path
            response = await self._bulk.execute(
                self._request,
                operation.method,
                path,
                data,
                version=operation.version,
                size=self._sizes[step.index],
            )
        except ScimError as error:
            self._fail(step.index, error, None if operation.method == "POST" else location)
            return
        self._succeed(step, response, location)

    async def _resolve(self, step: Run) -> tuple[str, Document]:
        """The path and the data of an operation, with its bulkId references replaced by ids."""
        operation = self._bulk_request.operations[step.index]
        if not operation.references:
            return operation.path, dict(operation.data or {})

        def resolve() -> tuple[str, Document]:
            data = _without(operation, step.without)
            self._check_references({*references.in_path(operation.path), *references.in_data(data)})
            path = references.resolve_path(operation.path, self._ids)
            return path, references.resolve(data, self._ids)

        return await self._compute(self._sizes[step.index], resolve)

    async def _compute(self, size: int, function: Callable[[], Computed]) -> Computed:
        """Compute a function of `size` bytes of data; the worker thread computes large data."""
        return function() if size <= MAX_INLINE_BYTES else await self._request.offload(function)

    def _expected_location(self, operation: Operation) -> str | None:
        """The location of an operation's path; section 3.7 requires it even in a failed result."""
        path = operation.path
        if not path.startswith("/") or any(references.in_path(path)):
            return None
        return self._request.base_url + path

    def _succeed(self, step: Run, response: ScimResponse, location: str) -> None:
        operation = self._bulk_request.operations[step.index]
        location = response.headers.get("Location", location)
        self._results[step.index] = Result(
            operation, response.status, location, response.headers.get("ETag")
        )
        if operation.creates is not None:
            self._ids[operation.creates] = location.rpartition("/")[2]
        if step.without:
            self._incomplete.add(step.index)

    async def _complete(self, step: Complete) -> None:
        if step.index not in self._incomplete:
            return  # it was not created
        data = _only(self._bulk_request.operations[step.index], step.members)
        created = self._results[step.index]
        size = self._sizes[step.index]

        def resolve() -> Document:
            self._check_references(references.in_data(data))
            return _add_members(references.resolve(data, self._ids))

        try:
            addition = await self._compute(size, resolve)
            response = await self._bulk.execute(
                self._request, "PATCH", self._path(created), addition, size=size
            )
        except ScimError as error:
            await self._fail_cycle(step.index, error)
        else:
            version = response.headers.get("ETag", created.version)
            self._results[step.index] = dataclasses.replace(created, version=version)
        self._incomplete.discard(step.index)

    async def _fail_cycle(self, index: int, error: ScimError) -> None:
        """Fail an operation whose circular references cannot be resolved, and all that refer to it.

        Section 3.7.1 defines the status 409 for this. The resources of a cycle refer to each other,
        so none of them is as requested if one is missing.
        """
        bulk_id = self._bulk_request.operations[index].creates
        for each in await self._undo([index], bulk_id):
            self._fail(each, _refers_to_unresolved_cycle(bulk_id), None)
        self._fail(index, _unresolvable_cycle(error), None)

    async def _undo(self, indexes: Iterable[int], bulk_id: str | None) -> list[int]:
        """Undo operations and all that refer to them; return the indexes of those that had run."""
        affected = self._referrers.closure(indexes, self._undone)
        self._undone.update(dict.fromkeys(affected, bulk_id))
        undone = [
            index
            for index in sorted(affected & self._results.keys())
            if self._results[index].error is None
        ]
        for index in undone:
            await self._remove(self._results[index])
            self._incomplete.discard(index)
        return undone

    async def _remove(self, result: Result) -> None:
        """Delete a created resource: an operation reported as failed must have no effect."""
        if result.operation.creates is not None:
            self._ids.pop(result.operation.creates, None)
        try:
            await self._bulk.execute(self._request, "DELETE", self._path(result), {})
        except ScimError:
            return  # already deleted, or usersvc is unavailable: clients read before they retry

    def _path(self, result: Result) -> str:
        return (result.location or "").removeprefix(self._request.base_url)

    def _fail(self, index: int, error: ScimError, location: str | None) -> None:
        operation = self._bulk_request.operations[index]
        self._failed.add(index)
        self._results[index] = Result(operation, error.status, location, error=error)

    def _check_time(self) -> None:
        if self._bulk.is_over(self._end):
            raise ScimError(
                503,
                None,
                f"The bulk request reached its limit of {SECONDS:.0f} seconds before this "
                "operation. It was not executed; send it again in a smaller bulk request.",
            )

    def _check_references(self, bulk_ids: set[str]) -> None:
        for bulk_id in sorted(bulk_ids - self._ids.keys()):
            raise invalid_value(
                f"This operation refers to the bulkId {describe(bulk_id)}, whose operation created "
                "nothing. Correct that operation and send both again."
            )


def _without(operation: Operation, members: frozenset[str]) -> Mapping[str, Any]:
    data = operation.data or {}
    return {key: value for key, value in data.items() if key not in members}


def _only(operation: Operation, members: frozenset[str]) -> Mapping[str, Any]:
    data = operation.data or {}
    return {key: value for key, value in data.items() if key in members}


def _add_members(members: Document) -> Document:
    """A PATCH that adds the JSON members without which a resource was created."""
    return {"schemas": [PATCH_OP_URN], "Operations": [{"op": "add", "value": members}]}


def _refers_to_unresolved_cycle(bulk_id: str | None) -> ScimError:
    """The error for an operation that refers to an unresolved cycle (section 3.7.1)."""
    return ScimError(
        409,
        None,
        f"This operation refers, directly or through others, to the bulkId {describe(bulk_id)}, "
        "which is part of a circular reference that could not be resolved. Neither operation had "
        "an effect; correct that operation and send both again.",
    )


def _unresolvable_cycle(error: ScimError) -> ScimError:
    """The error for a cycle that cannot be resolved: 409 (3.7.1), except for internal errors."""
    if error.status >= 500:
        return error
    return ScimError(
        409,
        None,
        "Resources of this bulk request form a circular reference that could not be resolved. "
        f"Correct it and send them again: {error.detail}",
    )
