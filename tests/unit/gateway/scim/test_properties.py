"""Properties of the SCIM library that hold for every input, tested with generated input."""

import copy
import re
from collections.abc import Mapping
from typing import Any

import orjson
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.scim import filter as filters
from gateway.scim import paging, patch, projection, values
from gateway.scim import path as paths
from gateway.scim import resource as resources
from gateway.scim.errors import ScimError
from gateway.scim.filter import And, Compare, ElementMatch, Not, Operator, Or, Present
from gateway.scim.patch import Op, Operation
from gateway.scim.schema import ENTERPRISE_USER_URN, GROUP, USER, AttributePath, Schema, Type

# Parts of requests

WORDS = st.sampled_from(
    [
        *("userName", "name", "name.givenName", "emails", "emails.value", "members", "manager"),
        *("active", "meta.created", "id", "schemas", "roles", "value", "type", "primary", "groups"),
        *("eq", "ne", "co", "sw", "pr", "gt", "and", "or", "not", "(", ")", "[", "]", ".value"),
        *('"x"', '"a\\"b"', '"\\ud800"', "true", "null", "5", "x", '"', "\\", "\x00", "\ud800"),
        *(ENTERPRISE_USER_URN, f"{ENTERPRISE_USER_URN}:department", "Operations", "op", "path"),
        *("add", "Remove", "replace", 'emails[type eq "work"].value', "members[value eq x]", ""),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=30),
    st.lists(WORDS, max_size=12).map(" ".join),
    st.lists(WORDS, max_size=6).map("".join),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.sampled_from(["True", "u1"])
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(WORDS, TEXTS), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.one_of(WORDS, TEXTS), DOCUMENTS, max_size=5)
OPERATIONS = st.lists(
    st.builds(
        Operation,
        st.sampled_from(Op),
        st.one_of(st.none(), WORDS, TEXTS.filter(bool)),
        DOCUMENTS,
    ),
    max_size=4,
)
TYPES = st.sampled_from([USER, GROUP])


def outcome(call, *arguments):
    """The result of a call, and its refusal; any other exception fails the test."""
    try:
        return call(*arguments), None
    except ScimError as error:
        return None, (error.status, error.scim_type, error.detail)


def accepted(call, *arguments):
    """The result of a call, None if it refuses; checks that the refusal can be sent."""
    result, refusal = outcome(call, *arguments)
    if refusal is not None:
        status, _, detail = refusal
        assert status in {400, 413}
        assert 0 < len(detail) < 600
        orjson.dumps(detail)
    return result


@given(TYPES, TEXTS)
def test_any_text_of_a_query_is_parsed_or_refused(resource_type, text):
    accepted(filters.parse, resource_type, text)
    accepted(paths.parse, resource_type, text)
    accepted(projection.parse, resource_type, text, None)
    accepted(projection.parse, resource_type, None, text)
    accepted(paging.parse, text, text)


@given(st.one_of(st.binary(max_size=60), TEXTS.map(lambda text: text.encode(errors="replace"))))
def test_any_body_is_parsed_or_refused(body):
    accepted(resources.loads, body)


@given(TYPES, OBJECTS)
def test_any_document_is_read_or_refused(resource_type, document):
    accepted(resources.read, resource_type, document)
    accepted(patch.parse, document)


@given(st.lists(st.dictionaries(st.sampled_from(["op", "OP", "path", "value"]), DOCUMENTS)))
def test_any_patch_message_is_parsed_or_refused(operations):
    accepted(patch.parse, {"Operations": operations})


# Stored resources

NAMES = st.sampled_from(["Ann", "Bo", "é", 'a"b\\c'])
ELEMENTS = st.fixed_dictionaries(
    {"value": st.sampled_from(["a@x", "b@x", "A@X"])},
    optional={"type": st.sampled_from(["work", "home"]), "display": NAMES},
)


def with_one_primary(elements: list[dict[str, Any]], position: int) -> list[dict[str, Any]]:
    unique = list({(e.get("type"), e["value"].lower()): e for e in elements}.values())
    if position < len(unique):
        unique[position] = {**unique[position], "primary": True}
    return unique


EMAILS = st.builds(with_one_primary, st.lists(ELEMENTS, min_size=1, max_size=4), st.integers(0, 5))
USERS = st.fixed_dictionaries(
    {"id": st.just("u1"), "userName": NAMES},
    optional={
        "active": st.booleans(),
        "title": NAMES,
        "name": st.dictionaries(
            st.sampled_from(["givenName", "familyName", "formatted"]), NAMES, min_size=1
        ),
        "emails": EMAILS,
        ENTERPRISE_USER_URN: st.fixed_dictionaries(
            {"department": NAMES},
            optional={"manager": st.fixed_dictionaries({"value": st.sampled_from(["u2", "u3"])})},
        ),
    },
)


@given(USERS, OPERATIONS)
def test_any_patch_is_applied_or_refused_without_changing_its_input(user, operations):
    before = copy.deepcopy(user)
    accepted(patch.apply, USER, user, operations)
    assert user == before


@given(USERS, OPERATIONS)
def test_patched_resource_is_one_that_a_client_could_send(user, operations):
    patched = accepted(patch.apply, USER, user, operations)
    if patched is not None:
        assert {"id": "u1", **resources.read(USER, patched)} == patched


@given(
    st.lists(
        st.fixed_dictionaries(
            {"value": st.sampled_from(["Admin", "ADMIN", "É", "é", "x"])},
            optional={"type": st.sampled_from(["a", "A"]), "display": NAMES},
        )
    ),
    st.booleans(),
)
def test_values_that_differ_in_case_only_are_kept_once(roles, at_once):
    body = [roles] if at_once else [[each] for each in roles]
    operations = [Operation(Op.ADD, "roles", each) for each in body]
    patched = patch.apply(USER, {"userName": "ann"}, operations)
    keys = [(e.get("type", "").lower(), e["value"].lower()) for e in patched.get("roles", ())]
    assert len(keys) == len(set(keys))
    assert {value for _, value in keys} == {each["value"].lower() for each in roles}


@given(OBJECTS.map(lambda document: {**document, "userName": "ann"}))
def test_reading_a_canonical_resource_returns_it_unchanged(document):
    canonical = accepted(resources.read, USER, document)
    assume(canonical is not None)
    assert resources.read(USER, canonical) == canonical


# Filters

PATHS = [
    AttributePath(path.extension, path.attribute, sub_attribute)
    for path in USER.top_level
    for sub_attribute in path.attribute.sub_attributes.values() or (None,)
]
VALUES = {
    Type.STRING: st.one_of(NAMES, st.text(st.characters(codec="utf-8", exclude_characters="\0"))),
    Type.REFERENCE: NAMES,
    Type.BINARY: NAMES,
    Type.BOOLEAN: st.booleans(),
    Type.DATE_TIME: st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
}
ORDER = {Operator.GT, Operator.GE, Operator.LT, Operator.LE}
EQUALITY = {Operator.EQ, Operator.NE}
OPERATORS = {
    Type.STRING: list(Operator),
    Type.REFERENCE: list(Operator),
    Type.BINARY: sorted(EQUALITY),
    Type.BOOLEAN: sorted(EQUALITY),
    Type.DATE_TIME: sorted(ORDER | EQUALITY),
}


def pick(items):
    """One of the items. Unlike sampled_from, it does not print all of them when a test fails."""
    return st.integers(0, len(items) - 1).map(lambda i: items[i])


def comparisons(paths_):
    @st.composite
    def comparison(draw):
        path = draw(pick(paths_))
        type_ = path.target.type
        value = draw(VALUES[type_])
        if type_ is Type.DATE_TIME:
            value = values.date_time(value)
            assume(value is not None)
        return Compare(path, draw(st.sampled_from(OPERATORS[type_])), value)

    return comparison()


def trees(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        ),
        max_leaves=8,
    )


def leaves_of(paths_):
    return st.one_of(comparisons(paths_), pick(paths_).map(Present))


@st.composite
def element_matches(draw):
    parent = draw(pick([path for path in USER.top_level if path.attribute.sub_attributes]))
    paths_ = [path for path in PATHS if path.attribute is parent.attribute]
    return ElementMatch(parent, draw(trees(leaves_of(paths_))))


FILTERS = trees(st.one_of(leaves_of(PATHS), element_matches()))


@given(FILTERS)
def test_printed_filter_parses_to_the_same_tree(tree):
    assert filters.parse(USER, filters.to_text(tree)) == tree


@given(FILTERS, USERS)
def test_resource_matches_either_a_filter_or_its_negation(tree, user):
    assert filters.matches(tree, user) is not filters.matches(Not(tree), user)


@given(FILTERS)
def test_names_and_keywords_of_a_filter_are_case_insensitive(tree):
    text = filters.to_text(tree)
    assume("\\" not in text)  # an escaped quote would not end a string
    parts = text.split('"')  # every second one is a string
    upper = '"'.join(part.upper() if i % 2 == 0 else part for i, part in enumerate(parts))
    assert filters.parse(USER, upper) == tree


# The syntax of RFC 7644 section 3.4.2.2, figure 1, written apart from the parser: the words of a
# text become letters, and rules reduce these to the letter of a filter, F. It also has what
# docs/scim.md adds: more white space, text without quotes, and `emails[…].value eq "x"`.
END = r"(?![^ \t\n\r\f\v()\[\]\"])"
QUOTE = "['\\u02b0-\\u02ff]"
LEXEMES = re.compile(
    rf"""(?P<S>[ \t\n\r\f\v]+)
    |(?P<V>"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{{4}})*")
    |(?P<P>[()\[\]])
    |(?P<o>(?:eq|ne|co|sw|ew|gt|ge|lt|le){END})
    |(?P<p>pr{END})
    |(?P<a>(?:and|or){END})
    |(?P<n>not{END})
    |(?P<W>(?!{QUOTE})[\w@.:!\#$%&'*+/=?^|~-]+(?<!{QUOTE}){END})
    """,
    re.VERBOSE | re.IGNORECASE,
)
RULES = [
    (re.compile(r"W S?\[ S? F S? \] (?:S?W)? (?:SoS[VW]|Sp)? (?!S?[opW])", re.VERBOSE), "F"),
    (re.compile(r"(?<!\])(?<!\]S) W S (?:oS[VW]|p)", re.VERBOSE), "F"),
    (re.compile(r"n S? \( S? F S? \)", re.VERBOSE), "F"),
    (re.compile(r"(?<![WVopan])(?<!nS) \( S? F S? \)", re.VERBOSE), "F"),
    (re.compile(r"F S a S F", re.VERBOSE), "F"),
]


def is_strict(text: str) -> bool:
    """Whether a text has the syntax of a filter; knows no attributes."""
    letters, position = "", 0
    text = text.strip(" \t\n\r\f\v")
    while position < len(text):
        found = LEXEMES.match(text, position)
        if found is None:
            return False
        letters += found[0] if found.lastgroup == "P" else str(found.lastgroup)
        position = found.end()
    before = None
    while letters != before:
        before = letters
        for rule, letter in RULES:
            letters = rule.sub(letter, letters)
    return letters == "F"


QUOTES = st.sampled_from(
    ["'", "`", "\u201c", "\u2019", "\u00ab", "{", "}", "<", ";", ",", "\\", ":"]
)
DAMAGE = st.one_of(QUOTES, WORDS, st.sampled_from(["", " ", '"', "\u00a0"]))


@st.composite
def damaged_filters(draw):
    """The text of a filter after a few changes, most of which make it invalid."""
    text = filters.to_text(draw(FILTERS))
    text = draw(st.sampled_from([text, text.replace('"', "'"), text.replace('"', "")]))
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 3)))
        text = text[:start] + draw(DAMAGE) + text[end:]
    return text


@given(FILTERS)
def test_printed_filter_is_strict(tree):
    assert is_strict(filters.to_text(tree))


@given(st.one_of(damaged_filters(), TEXTS))
def test_filter_that_does_not_parse_strictly_is_refused(text):
    tree = accepted(filters.parse, USER, text)
    assert tree is None or is_strict(text)


# PATCH

SINGLE = st.sampled_from(
    [
        *("userName", "title", "active", "name.givenName", "NAME.familyName", "name"),
        *("manager", "manager.value", "department", ENTERPRISE_USER_URN, None),
    ]
)
SINGLE_VALUES = st.one_of(
    *(NAMES, st.booleans(), st.sampled_from(["True", "", None, [], {}, "false", "u9"])),
    st.dictionaries(
        st.sampled_from(["givenName", "familyName", "value", "department", "manager", "title"]),
        st.one_of(NAMES, st.none(), st.just("")),
        max_size=2,
    ),
    st.dictionaries(
        st.sampled_from(["name.givenName", "title", "name", "manager", "userName", "active"]),
        st.one_of(NAMES, st.none(), st.just({"givenName": "Z"}), st.just("True")),
        max_size=2,
    ),
)
SINGLE_OPERATIONS = st.lists(
    st.builds(Operation, st.sampled_from(Op), SINGLE, SINGLE_VALUES), max_size=4
)


def assigned(resource: dict[str, Any], assignments: Mapping[AttributePath, Any]) -> dict[str, Any]:
    """The resource after these assignments, computed in the simplest way."""
    result = copy.deepcopy(resource)
    for path, value in assignments.items():
        keys = [path.extension, path.attribute.name]
        keys += [path.sub_attribute.name] if path.sub_attribute else []
        *outer, last = [key for key in keys if key]
        holder = result
        for key in outer:
            holder = holder.setdefault(key, {})
        holder[last] = value
    return pruned(result)


def pruned(value):
    if not isinstance(value, dict):
        return value
    cleaned = {key: pruned(inner) for key, inner in value.items()}
    return {key: inner for key, inner in cleaned.items() if inner not in (None, {})}


@given(USERS, SINGLE_OPERATIONS)
def test_assignments_and_apply_give_the_same_resource(user, operations):
    assignments, refusal = outcome(patch.assignments, USER, operations)
    patched, refusal_of_apply = outcome(patch.apply, USER, user, operations)

    assert refusal == refusal_of_apply
    assert patched == (None if refusal else assigned(user, assignments))


IDS = st.sampled_from(["u1", "u2", "u3", "u4"])
MEMBER_OPERATIONS = st.lists(
    st.one_of(
        st.builds(
            Operation,
            st.sampled_from(Op),
            st.just("members"),
            st.lists(st.fixed_dictionaries({"value": IDS}), max_size=3),
        ),
        st.builds(Operation, st.just(Op.ADD), st.just("members"), IDS),
        st.just(Operation(Op.REMOVE, "members")),
        IDS.map(lambda each: Operation(Op.REMOVE, f'members[value eq "{each}"]')),
        NAMES.map(lambda name: Operation(Op.REPLACE, "displayName", name)),
    ),
    max_size=6,
)


@given(st.sets(IDS), MEMBER_OPERATIONS)
def test_member_changes_and_apply_give_the_same_group(ids, operations):
    group = pruned({"displayName": "T", "members": [{"value": each} for each in sorted(ids)]})
    group = {k: v for k, v in group.items() if v}

    changes = patch.member_changes(GROUP, operations)
    applied = patch.apply(GROUP, group, operations)

    assert changes is not None
    assert not set(changes.add) & set(changes.remove)
    kept = set() if changes.replace else ids - set(changes.remove)
    assert {each["value"] for each in applied.get("members", [])} == kept | set(changes.add)
    names = {str(path): value for path, value in changes.assignments.items()}
    assert applied["displayName"] == names.get("displayName", "T")


class EmailTable:
    """A simple model of e-mail addresses under PATCH: rows that are changed one by one."""

    def __init__(self, emails):
        self.rows = [dict(each) for each in emails]

    def run(self, operation, kind, part, value):
        chosen = [row for row in self.rows if row.get("type") == kind]
        if operation is Op.REMOVE:
            for row in chosen:
                row.pop(part, None)
                if part == "value" and row.keys() <= {"type", "primary"}:
                    row.clear()
        else:
            if not chosen:
                chosen = [{"type": kind}]
                self.rows += chosen
            for row in chosen:
                row[part] = value
            if part == "primary" and value is True:
                self.demote([row for row in self.rows if row not in chosen])
        self.normalize()

    def demote(self, rows):
        for row in rows:
            if row.get("primary"):
                row["primary"] = False

    def normalize(self):
        """Drop empty rows, and merge a row into an earlier one with the same type and value."""
        seen = {}
        for row in [each for each in self.rows if each]:
            key = (row.get("type"), row["value"]) if "value" in row else str(sorted(row.items()))
            if key in seen:
                seen[key].update({k: v for k, v in row.items() if k not in seen[key]})
            else:
                seen[key] = row
        self.rows = list(seen.values())

    def stored(self):
        """The rows after all changes; a row with only a type or flag is not stored."""
        return [row for row in self.rows if not row.keys() <= {"type", "primary"}]


KINDS = st.sampled_from(["work", "home"])
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([Op.ADD, Op.REPLACE]),
            KINDS,
            st.just("value"),
            st.sampled_from(["a@x", "c@x"]),
        ),
        st.tuples(st.sampled_from([Op.ADD, Op.REPLACE]), KINDS, st.just("primary"), st.booleans()),
        st.tuples(st.just(Op.REMOVE), KINDS, st.sampled_from(["value", "primary"]), st.none()),
    ),
    max_size=5,
)
ONE_OF_EACH = EMAILS.map(lambda emails: list({each.get("type"): each for each in emails}.values()))


@given(ONE_OF_EACH, STEPS)
def test_patches_of_emails_agree_with_a_table_of_rows(emails, steps):
    table = EmailTable(emails)
    for step in steps:
        table.run(*step)
    operations = [
        Operation(operation, f'emails[type eq "{kind}"].{part}', value)
        for operation, kind, part, value in steps
    ]

    applied = patch.apply(USER, {"userName": "ann", "emails": emails}, operations)

    assert applied.get("emails", []) == table.stored()


# No silent loss of values

EMPTIES = st.sampled_from([{}, [{}], {"nope": 1}, [{"nope": 1}]])
COMPLEX_PATHS = st.sampled_from(
    ["name", "manager", "emails", "addresses", 'emails[type eq "work"]', 'manager[value eq "u2"]']
)
WRITES = st.sampled_from([Op.ADD, Op.REPLACE])


ANN = {
    "id": "u1",
    "userName": "ann",
    "active": True,
    "title": "Engineer",
    "name": {"givenName": "Ann", "familyName": "Li"},
    "emails": [{"type": "work", "value": "a@x", "display": "A"}, {"type": "home", "value": "b@x"}],
    "addresses": [{"type": "work", "country": "CH"}],
    ENTERPRISE_USER_URN: {"department": "R", "manager": {"value": "u2"}},
}


@given(WRITES, COMPLEX_PATHS, EMPTIES)
def test_object_without_values_changes_nothing(op, path, value):
    for operation in (Operation(op, path, value), Operation(op, None, {path: value})):
        assert patch.apply(USER, ANN, [operation]) == ANN


PARTS = st.dictionaries(
    st.sampled_from(["value", "TYPE", "display", "primary", "givenName", "familyName", "nope"]),
    st.one_of(NAMES, st.none(), st.booleans()),
    max_size=3,
)
WRITTEN = st.one_of(
    PARTS,
    st.lists(PARTS, max_size=2),
    st.sampled_from([None, "", [], {}, [{}], "x", ["x"], False, [False]]),
)
WRITTEN_PATHS = st.sampled_from(
    [
        *("name", "title", "active", "manager", "emails", 'emails[type eq "work"]'),
        *("name.givenName", 'emails[type eq "home"].value', 'emails[type eq "home"].display'),
    ]
)


def leaves(value, path=()):
    """The paths of all single values, with each element under its own value."""
    if isinstance(value, dict):
        return {leaf for key, each in value.items() for leaf in leaves(each, (*path, key))}
    if isinstance(value, list):
        return {leaf for each in value for leaf in leaves(each, (*path, each.get("value")))}
    return {path}


def names_of(value):
    """The names of known members in a value, in lower case."""
    elements = value if isinstance(value, list) else [value]
    named = {key.lower() for each in elements if isinstance(each, dict) for key in each}
    return named - {"nope"}


def attribute_of(path):
    return path.partition("[")[0].partition(".")[0]


@given(WRITES, WRITTEN_PATHS, WRITTEN, st.booleans())
def test_accepted_patch_removes_no_value_that_it_does_not_name(op, path, value, in_value):
    operation = Operation(op, None, {path: value}) if in_value else Operation(op, path, value)
    patched = accepted(patch.apply, USER, ANN, [operation])
    if patched is None:
        return
    removed = leaves(ANN) - leaves(patched)
    assert all(attribute_of(path) in leaf for leaf in removed)
    names = names_of(value)
    if values.is_unassigned(value) or "value" in names or path.endswith(("value", "givenName")):
        return  # the operation clears its target, or sets the value of an element
    if names or isinstance(value, dict) or value == [{}]:
        replaces_all = path == "emails" and op is Op.REPLACE and names
        assert replaces_all or {leaf[-1].lower() for leaf in removed} <= names


@given(WRITES, st.one_of(SINGLE_VALUES, WRITTEN), st.booleans())
def test_user_keeps_active_unless_a_patch_removes_it(op, value, in_value):
    operation = (
        Operation(op, None, {"active": value}) if in_value else Operation(op, "active", value)
    )
    patched = accepted(patch.apply, USER, ANN, [operation])
    assert patched is None or isinstance(patched["active"], bool)


MEMBER_VALUES = st.one_of(
    st.none(),
    st.lists(
        st.one_of(
            st.none(),
            st.just(""),
            IDS,
            st.dictionaries(
                st.sampled_from(["value", "type", "$ref", "display", "nope"]),
                st.one_of(IDS, st.none(), st.just("")),
                max_size=2,
            ),
        ),
        max_size=3,
    ),
    st.sampled_from(["", {}, {"value": None}, {"value": "u1"}]),
)


@given(MEMBER_VALUES)
def test_group_is_emptied_only_by_null_and_an_empty_array(value):
    group = {"displayName": "T", "members": [{"value": "u9"}]}
    operation = Operation(Op.REPLACE, "members", value)
    changes, refusal = outcome(patch.member_changes, GROUP, [operation])
    applied, refusal_of_apply = outcome(patch.apply, GROUP, group, [operation])
    read, refusal_of_read = outcome(resources.read, GROUP, {**group, "members": value})

    assert (refusal is None) is (refusal_of_apply is None) is (refusal_of_read is None)
    if refusal is None:
        is_emptied = value is None or value == []
        assert ("members" not in applied) is ("members" not in read) is is_emptied
        assert (not changes.add) is is_emptied


LABELLED = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["work", "home", ""]),
            "value": st.sampled_from(["1", "", None]),
            "primary": st.just(False),
            "display": st.sampled_from(["D", ""]),
        },
    ),
    max_size=3,
)
TYPED = st.sampled_from(["emails", "phoneNumbers", "roles"])


@given(USERS, TYPED, LABELLED, st.sampled_from(["value", "primary", "type", "display"]))
def test_no_element_is_stored_with_only_a_type(user, name, elements, part):
    created = resources.read(USER, {"userName": "ann", name: elements})
    operations = [
        Operation(Op.REPLACE, name, elements),
        Operation(Op.ADD, f'{name}[type eq "work"].{part}', "" if part == "value" else "True"),
        Operation(Op.REPLACE, f'{name}[type eq "home"].{part}', None),
    ]
    for resource in (created, accepted(patch.apply, USER, user, operations)):
        for element in resource.get(name, []):
            assert element.keys() & {"value", "display"}


# Value paths

VALUE_TESTS = st.lists(
    st.one_of(
        st.tuples(st.just("type"), st.sampled_from(["work", "HOME", "other"])),
        st.tuples(st.just("value"), st.sampled_from(["a@x", "B@X", "gone@x"])),
        st.tuples(st.just("primary"), st.booleans()),
    ),
    min_size=1,
    max_size=2,
)
EMAIL_PARTS = st.sampled_from([None, "value", "type", "display", "primary"])
PART_VALUES = st.one_of(
    *(st.sampled_from(["c@x", "a@x", "work", "other", "", None]), st.booleans(), st.just([])),
    st.fixed_dictionaries({"display": st.just("D")}, optional={"value": st.just("c@x")}),
    st.fixed_dictionaries({"type": st.just("home")}, optional={"value": st.just("c@x")}),
)


def folded(value):
    return value.casefold() if isinstance(value, str) else value


def satisfies(element, tests, joiner):
    results = [folded(element.get(part)) == folded(value) for part, value in tests]
    return all(results) if joiner == "and" else any(results)


def addresses(elements):
    return {folded(each["value"]) for each in elements if "value" in each}


def kinds(elements):
    return [folded(each["type"]) for each in elements if "type" in each]


def names_the_address(operation, part, value):
    """Whether an operation on an element removes its address or sets another one."""
    if part is not None:
        return part == "value"
    return operation is not Op.ADD or isinstance(value, str) or "value" in value


def remains(element, other):
    """Whether another element has all of an element, except `primary`, which a new one may take."""
    return all(other.get(part) == value for part, value in element.items() if part != "primary")


CONDITIONS = st.tuples(VALUE_TESTS, st.sampled_from(["and", "or"]))


@given(EMAILS, st.sampled_from(Op), CONDITIONS, EMAIL_PARTS, PART_VALUES)
def test_value_path_removes_no_value_that_it_does_not_name(
    emails, operation, conditions, part, value
):
    tests, joiner = conditions
    inner = f" {joiner} ".join(f"{name} eq {orjson.dumps(v).decode()}" for name, v in tests)
    path = f"emails[{inner}]" + (f".{part}" if part else "")
    user = {"userName": "ann", "emails": emails}

    patched = accepted(patch.apply, USER, user, [Operation(operation, path, value)])

    if patched is not None:
        named = [each for each in emails if satisfies(each, tests, joiner)]
        left = patched.get("emails", [])
        lost = addresses(emails) - addresses(left)
        assert lost <= addresses(named)
        assert not lost or names_the_address(operation, part, value)
        if not named:  # an element may have been created
            assert all(any(remains(each, other) for other in left) for each in emails)
            assert len(left) <= len(emails) + 1
            assert "gone@x" not in addresses(left)
            new = kinds(left)[len(kinds(emails)) :]
            assert not set(new) & set(kinds(emails))


@given(EMAILS, st.sampled_from([Op.ADD, Op.REPLACE]), st.sampled_from(["c@x", "a@x"]))
def test_one_value_never_takes_the_place_of_several(emails, operation, value):
    operations = [Operation(operation, "emails.value", value)]
    patched = accepted(patch.apply, USER, {"userName": "ann", "emails": emails}, operations)
    assert (patched is None) is (len(emails) > 1)


@st.composite
def damaged_value_paths(draw):
    """The path of a PATCH whose filter is damaged, or whose brackets are."""
    text = f"emails[{draw(damaged_filters())}]{draw(st.sampled_from(['', '.value', '.type']))}"
    start = draw(st.integers(0, len(text)))
    return draw(st.sampled_from([text, text[:start] + draw(DAMAGE) + text[start:]]))


@given(st.one_of(damaged_value_paths(), TEXTS))
def test_value_path_that_does_not_parse_strictly_is_refused(text):
    path = accepted(paths.parse, USER, text)
    assert path is None or path.filter is None or is_strict(text)


def ids_in(value):
    """The members that a value names."""
    if isinstance(value, list):
        return {each for element in value for each in ids_in(element)}
    if isinstance(value, dict):
        named = [value.get("value"), value.get("$ref")]
        return {each.rpartition("/")[2] for each in named if each}
    return {value} if isinstance(value, str) and value else set()


MEMBER_FILTERS = st.one_of(
    st.just(('[type eq "Group"]', set())),  # the members below have no type
    IDS.map(lambda each: (f'[value eq "{each}"]', {each})),
    st.tuples(IDS, IDS).map(
        lambda two: (f'[value eq "{two[0]}" or value eq "{two[1]}"]', set(two))
    ),
)


@given(st.sets(IDS), st.sampled_from(Op), st.none() | MEMBER_FILTERS, MEMBER_VALUES)
def test_group_patch_removes_and_adds_only_members_that_it_names(ids, op, selection, value):
    group = {
        "displayName": "T",
        **({"members": [{"value": i} for i in sorted(ids)]} if ids else {}),
    }
    filter_, selected = selection or ("", set())
    operation = Operation(op, f"members{filter_}", value)

    patched = accepted(patch.apply, GROUP, group, [operation])

    if patched is None:
        return
    after = {each["value"] for each in patched.get("members", [])}
    lost, gained = ids - after, after - ids
    assert gained <= ids_in(value)
    if selection is not None:
        assert lost <= selected
        assert not gained
        assert not lost or op is Op.REMOVE or (op is Op.REPLACE and not ids_in(value))
    elif op is Op.ADD:
        assert not lost
    elif op is Op.REPLACE:
        assert after == (ids_in(value) if value is not None else set())
    elif value is not None:
        assert lost <= ids_in(value)


TAGGED = USER.with_extension(
    Schema.from_document(
        {
            "id": "urn:acme:Tags",
            "name": "Tags",
            "attributes": [{"name": "tags", "type": "string", "multiValued": True}],
        }
    )
)
TAGS = st.sampled_from(["a", "B", "c"])
TAG_ELEMENTS = st.one_of(
    TAGS,
    TAGS.map(lambda tag: {"value": tag.upper(), "type": "x"}),
    st.sampled_from([None, "", {}, {"value": None}, {"display": "a"}, ["a"]]),
)
TAG_VALUES = st.one_of(TAG_ELEMENTS, st.lists(TAG_ELEMENTS, max_size=3))
TAG_PATHS = st.sampled_from(["tags", 'tags[value eq "a"]', 'tags[value eq "a"].value', None])


def tags_in(value):
    if isinstance(value, list):
        return {tag for each in value for tag in tags_in(each)}
    tag = value.get("value") if isinstance(value, dict) else value
    return {tag.lower()} if isinstance(tag, str) and tag else set()


@given(st.lists(TAGS, min_size=1, unique=True), st.sampled_from(Op), TAG_PATHS, TAG_VALUES)
def test_patch_of_simple_values_removes_and_adds_only_what_it_names(tags, op, path, value):
    user = {"userName": "ann", "urn:acme:Tags": {"tags": tags}}
    operation = Operation(op, path, {"urn:acme:Tags:tags": value} if path is None else value)

    patched = accepted(patch.apply, TAGGED, user, [operation])

    if patched is None:
        return
    before = tags_in(tags)
    after = tags_in(patched.get("urn:acme:Tags", {}).get("tags", []))
    lost = before - after
    assert after - before <= tags_in(value)
    if path not in (None, "tags"):
        assert lost <= {"a"}
    elif op is Op.ADD:
        assert not lost
    elif op is Op.REPLACE:
        assert after == tags_in(value)
    elif value is not None:
        assert lost <= tags_in(value)
