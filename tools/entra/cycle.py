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
from tools.entra.dialects import Dialect, patch, spoken
from tools.entra.mapping import creation, differences, found
from tools.entra.people import Changes, Person, after, changes, directory
from tools.entra.report import Progress, Summary, Tally

PROBES = 3
# Matching precedence: the first attribute that finds somebody decides. The second one finds people
# who were renamed since, so that they are linked again and not created twice.
MATCHING = ("userName", "externalId")
PATIENT = Retries()


@dataclass(frozen=True, slots=True)
class Options:
    """One run: whom to provision, where to, and how hard."""

    url: str
    token: str
    people: int = 1000
    seed: int = 1
    rate: float | None = None
    connections: int = 16
    dialect: Dialect = Dialect.MIXED
    retries: Retries = PATIENT


async def run(options: Options, progress: Progress | None = None) -> Summary:
    """Provision a generated directory, change it, and read everybody back.

    What goes wrong with a person is counted; a refused token or a failed probe ends the run.
    """
    tally = Tally()
    people = directory(options.people, options.seed)
    happened = changes(people, options.seed)
    expected = len(people) + len(happened.joined)
    async with connect(
        options.url,
        options.token,
        connections=options.connections,
        rate=options.rate,
        retries=options.retries,
        observe=tally.observe,
    ) as client:
        job = Job(client, options, tally, progress or Progress(None))
        try:
            await job.everything(people, happened)
        except (RequestError, aiohttp.ClientError, TimeoutError) as error:
            return tally.summary(expected, stopped=_reason(error))
    return tally.summary(expected)


class Job:
    """One provisioning job: the ids it has cached are how it knows people ever after."""

    def __init__(
        self, client: EntraClient, options: Options, tally: Tally, progress: Progress
    ) -> None:
        self._client = client
        self._options = options
        self._tally = tally
        self._progress = progress
        self._ids: dict[int, str] = {}

    async def everything(self, people: Sequence[Person], happened: Changes) -> None:
        """Every phase in Entra's order; each cycle begins with its probes."""
        await self.test_connection()
        await self._each("Initial cycle", people, self.provision)
        await self.test_connection()
        await self._each("Updates", happened.updated, self.update)
        await self._each("Disables", happened.disabled, self.update)
        await self._each("Newcomers", happened.joined, self.provision)
        await self.test_connection()
        await self._each("Restores", happened.restored, self.update)
        await self._each("Deletes", happened.deleted, self.delete)
        await self._verify(people, happened)

    async def test_connection(self) -> None:
        """Several queries for random GUIDs; a refusal ends the run, as it ends Test Connection."""
        for _ in range(PROBES):
            await self._client.probe()

    async def provision(self, person: Person) -> None:
        """Match the person; create them when nobody is found, else send what differs."""
        resource = await self._match(person)
        if resource is None:
            resource = await self._client.create(creation(person))
            _must_agree(person, resource)
            self._tally.counts["created"] += 1
        else:
            self._tally.counts["matched"] += 1
            await self._send_differences(person, resource)
        self._ids[person.number] = str(resource["id"])

    async def update(self, person: Person) -> None:
        """Read the person by the cached id and send what differs."""
        await self._send_differences(person, await self._anchor(person))

    async def delete(self, person: Person) -> None:
        """Delete the person and see that neither the id nor the userName finds them any more."""
        user_id = str((await self._anchor(person))["id"])
        await self._client.delete(user_id)
        if await self._client.get(user_id) is not None:
            raise ServiceIncompatibleError(200, f"{user_id} is still there after its DELETE")
        await self.nobody(person.user_name)
        self._tally.counts["deleted"] += 1

    async def nobody(self, user_name: str) -> None:
        """Refuse a user who still answers to this name."""
        if await self._client.find("userName", user_name) is not None:
            raise ServiceIncompatibleError(200, f"{user_name} is still found")

    async def verify(self, person: Person) -> None:
        """Refuse a person who is not found by userName under the cached id with every value."""
        resource = await self._client.find("userName", person.user_name)
        if resource is None:
            raise ServiceIncompatibleError(200, f"{person.user_name} is not found")
        if resource["id"] != self._ids.get(person.number):
            raise ServiceIncompatibleError(200, f"{person.user_name} has another id now")
        _must_agree(person, resource)
        self._tally.counts["verified"] += 1

    async def _verify(self, people: Sequence[Person], happened: Changes) -> None:
        now = after(people, happened)
        before = {each.number: each.user_name for each in people}

        async def renamed(person: Person) -> None:
            await self.nobody(before[person.number])

        async def gone(person: Person) -> None:
            await self.nobody(person.user_name)
            self._tally.counts["verified"] += 1

        await self._each("Verify people", list(now.values()), self.verify)
        await self._each("Verify deleted", happened.deleted, gone)
        await self._each(
            "Verify former names",
            [each for each in happened.updated if each.user_name != before[each.number]],
            renamed,
        )

    async def _match(self, person: Person) -> Resource | None:
        for attribute, value in zip(MATCHING, (person.user_name, person.external_id), strict=True):
            resource = await self._client.find(attribute, value)
            if resource is not None:
                return resource
        return None

    async def _anchor(self, person: Person) -> Resource:
        """The person under the cached id; refuse one who is gone (Entra's InvalidAnchor)."""
        user_id = self._ids.get(person.number)
        if user_id is None:
            raise RequestError(0, "never provisioned, see the initial cycle")
        resource = await self._client.get(user_id)
        if resource is None:
            raise RequestError(404, f"GET /Users/{user_id}: a user matched before is gone")
        return resource

    async def _send_differences(self, person: Person, resource: Resource) -> None:
        values = differences(person, resource)
        if not values:
            return
        dialect = spoken(self._options.dialect, person.number)
        body = patch(dialect, values, found(resource).keys())
        answered = await self._client.patch(str(resource["id"]), body)
        if answered is not None:
            _must_agree(person, answered)
        self._tally.counts[_outcome(person, "active" in values)] += 1

    async def _each(
        self,
        title: str,
        people: Sequence[Person],
        work: Callable[[Person], Awaitable[None]],
    ) -> None:
        """Do the work for everybody, as many at a time as there are connections."""
        waiting = iter(people)
        self._progress.begin(title, len(people))

        async def worker() -> None:
            for person in waiting:
                await self._attempt(person, work)
                self._progress.advance()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._options.connections, len(people))):
                    group.create_task(worker())
        except* UnauthorizedError as refused:
            raise _first(refused) from None
        finally:
            self._progress.end()

    async def _attempt(self, person: Person, work: Callable[[Person], Awaitable[None]]) -> None:
        try:
            await work(person)
        except UnauthorizedError:
            raise
        except (RequestError, aiohttp.ClientError, TimeoutError) as error:
            self._tally.failed(person.number, f"{person.user_name}: {_reason(error)}")


def _must_agree(person: Person, resource: Resource) -> None:
    """Refuse a resource whose values are not the ones that were sent, letter for letter."""
    wrong = differences(person, resource)
    if wrong:
        actual = {path: found(resource).get(path) for path in wrong}
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
