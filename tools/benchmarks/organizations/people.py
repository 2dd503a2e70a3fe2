"""Names and ids of filled rows, as SQL expressions and in Python.

Ids follow from numbers, so that changes and groups can refer to people without a join. They have
the form of a UUID of version 7 and increase like one.
"""

from uuid import UUID

GIVEN_NAMES = (
    "Ann", "Ben", "Carla", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas",
    "Kira", "Liam", "Maria", "Noah", "Olga", "Paul", "Rosa", "Samuel", "Tina", "Viktor",
)  # fmt: skip
FAMILY_NAMES = (
    "Adams", "Bauer", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Haddad", "Ito", "Jensen",
    "Kowalski", "Lopez", "Meyer", "Novak", "Okafor", "Petrov", "Quinn", "Rossi", "Silva", "Tanaka",
    "Urban", "Vargas", "Weber", "Xu", "Yilmaz", "Ziegler", "Andersen", "Brown", "Chen", "Diaz",
    "Eriksson", "Ferrari", "Gruber", "Hansen", "Ivanova", "Jones", "Keller", "Larsen", "Moreau",
    "Nielsen", "Olsen", "Patel", "Ramirez", "Schmidt", "Torres", "Ueda", "Vogel", "Walker", "Young",
    "Zhang",
)  # fmt: skip
RARE_PERSON = 777
"""The number of the only person in each organization with the family name RARE_NAME."""
RARE_NAME = "Zyxwvut"

LARGEST_GROUP = 0
"""The number of the largest group of the large organization; other groups are numbered from 1."""
LARGE = 0
"""The number of the large organization; small ones are numbered from 1."""


def user_id(organization: int, person: int) -> UUID:
    """The id of a person; persons are numbered from 1."""
    return UUID(f"01980000-{organization:04x}-7000-8000-{person:012x}")


def group_id(organization: int, group: int) -> UUID:
    """The id of a group; groups are numbered from 1."""
    return UUID(f"01980000-{organization:04x}-7001-8000-{group:012x}")


def user_name(organization: int, person: int) -> str:
    """The userName of a person, which is also the e-mail address."""
    given = GIVEN_NAMES[person % len(GIVEN_NAMES)]
    return f"{given}.{family_name(person)}{person}@o{organization}.test".lower()


def family_name(person: int) -> str:
    """The family name of a person."""
    if person == RARE_PERSON:
        return RARE_NAME
    return FAMILY_NAMES[person // len(GIVEN_NAMES) % len(FAMILY_NAMES)]


def user_id_sql(organization: str, person: str) -> str:
    """`user_id` as an SQL expression."""
    return _id_sql("7000", organization, person)


def group_id_sql(organization: str, group: str) -> str:
    """`group_id` as an SQL expression."""
    return _id_sql("7001", organization, group)


def _id_sql(kind: str, organization: str, number: str) -> str:
    return (
        f"('01980000' || lpad(to_hex({organization}), 4, '0') || '{kind}8000'"
        f" || lpad(to_hex({number}), 12, '0'))::uuid"
    )


def given_name_sql(person: str) -> str:
    """The given name of a person as an SQL expression."""
    return f"({_array(GIVEN_NAMES)})[1 + ({person}) % {len(GIVEN_NAMES)}]"


def family_name_sql(person: str) -> str:
    """`family_name` as an SQL expression."""
    index = f"1 + ({person}) / {len(GIVEN_NAMES)} % {len(FAMILY_NAMES)}"
    return (
        f"CASE WHEN ({person}) = {RARE_PERSON} THEN '{RARE_NAME}'"
        f" ELSE ({_array(FAMILY_NAMES)})[{index}] END"
    )


def user_name_sql(organization: str, person: str) -> str:
    """`user_name` as an SQL expression."""
    given, family = given_name_sql(person), family_name_sql(person)
    return f"lower({given} || '.' || {family} || ({person}) || '@o' || ({organization}) || '.test')"


def _array(names: tuple[str, ...]) -> str:
    return f"'{{{','.join(names)}}}'::text[]"
