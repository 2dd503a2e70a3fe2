"""Random operations of bulk requests that often concern the same few resources and names."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.support.scim_documents import GROUP, PATCH_OP, USER

Document = dict[str, Any]

USERS = ("u-1", "u-2", "u-3")
"""Stand for the ids of users that exist before the request."""
GROUPS = ("g-1", "g-2", "g-3")
"""Stand for the ids of groups that exist before the request."""
USER_NAMES = ("ann", "bob", "cid")
"""The names of these users, at first."""
MEMBERS = {"g-1": ("u-1", "g-2"), "g-2": ("u-2",), "g-3": ("u-1", "u-3")}
"""The members of these groups, at first."""

_NEW = ("new-0", "new-1", "new-2")
"""Stand for references to resources that the same request creates."""
_BULK_ID = "number"
_NAMES = st.sampled_from([*USER_NAMES, "ANN", "Bob", "dan", "eve", "EVE"])
_DISPLAY_NAMES = st.sampled_from(["One", "Two"])
_TITLES = st.sampled_from(["Chief", "Clerk"])
_VERSIONS = st.sampled_from([None, None, None, 'W/"1"', 'W/"2"'])


def patch(path: str, op: str, target: str | None, value: object = None) -> Document:
    operation = {"op": op, "path": target, "value": value}
    given = {name: each for name, each in operation.items() if each is not None}
    data = {"schemas": [PATCH_OP], "Operations": [given]}
    return {"method": "PATCH", "path": path, "data": data}


def user(name: str, **attributes: object) -> Document:
    return {"schemas": [USER], "userName": name, **attributes}


def group(name: str, members: Sequence[str]) -> Document:
    return {"schemas": [GROUP], "displayName": name, "members": [{"value": m} for m in members]}


def _user() -> st.SearchStrategy[Document]:
    return st.builds(user, _NAMES, displayName=_DISPLAY_NAMES)


def _creation(path: str, data: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return data.map(lambda each: {"method": "POST", "path": path, "bulkId": _BULK_ID, "data": each})


def _put(path: str, data: Document) -> Document:
    return {"method": "PUT", "path": path, "data": data}


def _delete(path: str) -> Document:
    return {"method": "DELETE", "path": path}


def _conditional(documents: st.SearchStrategy[Document]) -> st.SearchStrategy[Document]:
    return st.builds(
        lambda each, version: each if version is None else {**each, "version": version},
        documents,
        _VERSIONS,
    )


_MEMBER_IDS = st.lists(st.sampled_from([*USERS, *GROUPS, *_NEW]), max_size=3, unique=True)
_USER_PATHS = st.sampled_from([*USERS, *_NEW]).map("/Users/{}".format)
_GROUP_PATHS = st.sampled_from([*GROUPS, *_NEW]).map("/Groups/{}".format)
_GROUPS = st.builds(group, _DISPLAY_NAMES, _MEMBER_IDS)
_REPLACE = st.just("replace")
_OPERATIONS = st.one_of(
    _creation("/Users", _user()),
    _creation("/Groups", _GROUPS),
    _conditional(st.builds(_put, _USER_PATHS, _user())),
    _conditional(st.builds(_put, _GROUP_PATHS, _GROUPS)),
    _conditional(st.builds(patch, _USER_PATHS, _REPLACE, st.just("userName"), _NAMES)),
    _conditional(st.builds(patch, _USER_PATHS, _REPLACE, st.just("title"), _TITLES)),
    _conditional(st.builds(patch, _USER_PATHS, _REPLACE, st.just("displayName"), _DISPLAY_NAMES)),
    _conditional(st.builds(_delete, st.one_of(_USER_PATHS, _USER_PATHS, _GROUP_PATHS))),
    _conditional(st.builds(patch, _GROUP_PATHS, _REPLACE, st.just("displayName"), _DISPLAY_NAMES)),
    st.builds(
        patch,
        _GROUP_PATHS,
        st.sampled_from(["add", "remove"]),
        st.just("members"),
        _MEMBER_IDS.filter(bool).map(lambda ids: [{"value": each} for each in ids]),
    ),
    st.builds(
        patch,
        _GROUP_PATHS,
        st.just("remove"),
        _DISPLAY_NAMES.map('members[display eq "{}"]'.format),
    ),
)


@st.composite
def operations(draw: st.DrawFn, most: int) -> list[Document]:
    """`most` operations or up to two fewer; their references to new resources form no cycle."""
    chosen: list[Document] = []
    for number, each in enumerate(draw(st.lists(_OPERATIONS, min_size=most - 2, max_size=most))):
        created = [other["bulkId"] for other in chosen if other["method"] == "POST"]
        chosen.append(_numbered(each, number, created))
    return draw(st.permutations(chosen))


def _numbered(document: Document, number: int, created: Sequence[str]) -> Document:
    """The operation with its bulkId, and with references to earlier creations."""
    text = json.dumps(document).replace(_BULK_ID, f"b{number}")
    for index, each in enumerate(_NEW):
        text = text.replace(each, f"bulkId:{created[index % len(created)]}" if created else "u-1")
    return json.loads(text)
