"""The organizations as clients see them: requests about people of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit
from uuid import UUID

from tests.support.stack import Stack
from tools.benchmarks.organizations.filling import Organizations
from tools.benchmarks.organizations.people import LARGE, group_id, user_id, user_name
from tools.benchmarks.organizations.sizes import GROUP_MEMBERS, PEOPLE, Sizes
from tools.benchmarks.service import SAMPLE_USERS
from tools.benchmarks.subjects import Server
from tools.benchmarks.work import Work

SMALL = 1
"""The number of the small organization that is compared with the large one."""
PEOPLE_OF_MANY = 3
"""People of each organization when requests go to all organizations in turn."""


@dataclass(frozen=True, slots=True)
class Tenants:
    """A running region with the filled organizations."""

    stack: Stack
    sizes: Sizes
    organizations: Organizations
    large: Server
    small: Server

    @property
    def large_id(self) -> UUID:
        return self.organizations.ids[LARGE]

    def of_organization(self, organization: int, people: Sequence[int]) -> Server:
        """Requests about these people of an organization."""
        return _server(self.stack, self.organizations, organization, people)


def tenants(stack: Stack, sizes: Sizes, organizations: Organizations) -> Tenants:
    """The organizations of a region that was filled with them."""
    sample = Random(7).sample(range(PEOPLE * 10, sizes.large_people), SAMPLE_USERS)
    # Nobody in the first group, to which requests add members.
    others = range(GROUP_MEMBERS + 1, PEOPLE + 1)
    return Tenants(
        stack,
        sizes,
        organizations,
        _server(stack, organizations, LARGE, sample),
        _server(stack, organizations, SMALL, others),
    )


def _server(
    stack: Stack, organizations: Organizations, organization: int, people: Sequence[int]
) -> Server:
    parts = urlsplit(stack.url)
    work = Work(parts.netloc, parts.path, organizations.tokens[organization].text)
    work.people = [
        (str(user_id(organization, each)), user_name(organization, each)) for each in people
    ]
    work.group = str(group_id(organization, 1))
    pids = [stack.pid(name) for name in ("gateway", "usersvc", "keysvc", "postgres")]
    name = "the large organization" if organization == LARGE else f"organization {organization}"
    return Server(name, (parts.hostname or "", parts.port or 0), work, pids)
