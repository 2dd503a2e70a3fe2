"""The cycles of a provisioning job: probe, initial cycle, incremental cycles, verification."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from tools.entra.client import (
    EntraClient,
    RequestError,
    Resource,
    Retries,
    ServiceIncompatibleError,
    UnauthorizedError,
    connect,
)
from tools.entra.dialects import Dialect, dialect_for, patch
from tools.entra.mapping import differences, post_body, returned_values
from tools.entra.people import Changes, Person, apply_changes, directory, generate_changes, renamed
from tools.entra.report import Progress, RunCounts, Summary

PROBES = 3
# Matching precedence: the first attribute with a match decides. The second one matches people who
# were renamed, so that they are linked again and not created a second time.
MATCHING = ("userName", "externalId")
DEFAULT_RETRIES = Retries()


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a run: people, tenant and load."""

    url: str
    token: str
    people: int = 1000
    seed: int = 1
    rate: float | None = None
    connections: int = 16
    dialect: Dialect = Dialect.MIXED
    retries: Retries = DEFAULT_RETRIES


async def run(options: Options, progress: Progress | None = None) -> Summary:
    """Provision a generated directory, change it, and read all people back.

    Errors of a person are counted. A rejected token or a failed probe ends the run.
    """
    run_counts = RunCounts()
    people = directory(options.people, options.seed)
    changes = generate_changes(people, options.seed)
    expected = len(people) + len(changes.joined)
    async with connect(
        options.url,
        options.token,
        connections=options.connections,
        rate=options.rate,
        retries=options.retries,
        observe=run_counts.observe,
    ) as client:
        job = Job(client, options, run_counts, progress or Progress(None))
        try:
            await job.run_all_phases(people, changes)
        except (RequestError, aiohttp.ClientError, TimeoutError) as error:
            return run_counts.summary(expected, stopped=_reason(error))
    return run_counts.summary(expected)


class Job:
    """One provisioning job; it caches the id of each person after matching."""

    def __init__(
        self, client: EntraClient, options: Options, run_counts: RunCounts, progress: Progress
    ) -> None:
        self._client = client
        self._options = options
        self._run_counts = run_counts
        self._progress = progress
        self._ids: dict[int, str] = {}

    async def run_all_phases(self, people: Sequence[Person], changes: Changes) -> None:
        """Run all phases in Entra's order; each cycle begins with probes."""
        await self.test_connection()
        await self._each("Initial cycle", people, self.provision)
        await self.test_connection()
        await self._each("Updates", changes.updated, self.update)
        await self._each("Disables", changes.disabled, self.update)
        await self._each("Newcomers", changes.joined, self.provision)
        await self.test_connection()
        await self._each("Restores", changes.restored, self.update)
        await self._each("Deletes", changes.deleted, self.delete)
        await self._verify(people, changes)

    async def test_connection(self) -> None:
        """Search for random GUIDs, as Test Connection does; an error ends the run."""
        for _ in range(PROBES):
            await self._client.probe()

    async def provision(self, person: Person) -> None:
        """Match the person; create them without a match, else send the differences."""
        resource = await self._match(person)
        if resource is None:
            resource = await self._client.create(post_body(person))
            _check_values(person, resource)
            self._run_counts.counts["created"] += 1
        else:
            self._run_counts.counts["matched"] += 1
            await self._send_differences(person, resource)
        self._ids[person.number] = str(resource["id"])

    async def update(self, person: Person) -> None:
        """Read the person by the cached id and send the differences."""
        await self._send_differences(person, await self._anchor(person))

    async def delete(self, person: Person) -> None:
        """Delete the person and check that neither id nor userName finds them any more."""
        user_id = str((await self._anchor(person))["id"])
        await self._client.delete(user_id)
        if await self._client.get(user_id) is not None:
            raise ServiceIncompatibleError(200, f"{user_id} still exists after its DELETE")
        await self.check_absent(person.user_name)
        self._run_counts.counts["deleted"] += 1

    async def check_absent(self, user_name: str) -> None:
        """Raise if a user with this name still exists."""
        if await self._client.find("userName", user_name) is not None:
            raise ServiceIncompatibleError(200, f"{user_name} is still found")

    async def verify(self, person: Person) -> None:
        """Raise unless userName finds the person with the cached id and every value."""
        resource = await self._client.find("userName", person.user_name)
        if resource is None:
            raise ServiceIncompatibleError(200, f"{person.user_name} is not found")
        if resource["id"] != self._ids.get(person.number):
            raise ServiceIncompatibleError(200, f"{person.user_name} has another id now")
        _check_values(person, resource)
        self._run_counts.counts["verified"] += 1

    async def _verify(self, people: Sequence[Person], changes: Changes) -> None:
        current = apply_changes(people, changes)

        async def check_renamed(former: Person) -> None:
            await self.check_absent(former.user_name)

        async def check_deleted(person: Person) -> None:
            await self.check_absent(person.user_name)
            self._run_counts.counts["verified"] += 1

        await self._each("Verify people", list(current.values()), self.verify)
        await self._each("Verify deleted", changes.deleted, check_deleted)
        await self._each("Verify former names", renamed(people, changes), check_renamed)

    async def _match(self, person: Person) -> Resource | None:
        for attribute, value in zip(MATCHING, (person.user_name, person.external_id), strict=True):
            resource = await self._client.find(attribute, value)
            if resource is not None:
                return resource
        return None

    async def _anchor(self, person: Person) -> Resource:
        """The person with the cached id; raises if they no longer exist (Entra's InvalidAnchor)."""
        user_id = self._ids.get(person.number)
        if user_id is None:
            raise RequestError(0, "not provisioned; see the error of the initial cycle")
        resource = await self._client.get(user_id)
        if resource is None:
            raise RequestError(
                404, f"GET /Users/{user_id}: a previously matched user no longer exists"
            )
        return resource

    async def _send_differences(self, person: Person, resource: Resource) -> None:
        values = differences(person, resource)
        if not values:
            return
        dialect = dialect_for(self._options.dialect, person.number)
        body = patch(dialect, values, returned_values(resource).keys())
        updated = await self._client.patch(str(resource["id"]), body)
        if updated is not None:
            _check_values(person, updated)
        self._run_counts.counts[_outcome(person, "active" in values)] += 1

    async def _each(
        self,
        title: str,
        people: Sequence[Person],
        work: Callable[[Person], Awaitable[None]],
    ) -> None:
        """Run `work` for all people, with one worker per connection."""
        remaining = iter(people)
        self._progress.begin(title, len(people))

        async def worker() -> None:
            for person in remaining:
                await self._attempt(person, work)
                self._progress.advance()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._options.connections, len(people))):
                    group.create_task(worker())
        except* UnauthorizedError as errors:
            raise _first(errors) from None
        finally:
            self._progress.end()

    async def _attempt(self, person: Person, work: Callable[[Person], Awaitable[None]]) -> None:
        try:
            await work(person)
        except UnauthorizedError:
            raise
        except (RequestError, aiohttp.ClientError, TimeoutError) as error:
            self._run_counts.failed(person.number, f"{person.user_name}: {_reason(error)}")


def _check_values(person: Person, resource: Resource) -> None:
    """Raise if a resource does not have exactly the values that were sent."""
    wrong = differences(person, resource)
    if wrong:
        actual = {path: returned_values(resource).get(path) for path in wrong}
        raise ServiceIncompatibleError(
            200, f"{person.user_name} should have {wrong}, but has {actual}"
        )


def _outcome(person: Person, activity_changed: bool) -> str:
    if not activity_changed:
        return "updated"
    return "restored" if person.active else "disabled"


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _first(group: BaseExceptionGroup[UnauthorizedError]) -> UnauthorizedError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, UnauthorizedError)
    return error
