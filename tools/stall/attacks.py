"""The attacks on each route: every shape of input, with and without a key or session."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gateway.api.app import PREFIX
from gateway.http.body import MAX_BODY_BYTES
from gateway.scim.filter import MAX_LENGTH
from gateway.sso.forms import RESPONSE_FORM
from gateway.sso.provider import ACS_PATH
from gateway.web.csrf import CSRF_FIELD, MAX_FORM_BYTES
from tools.stall.inputs.attack import Attack, Header, RawRequest
from tools.stall.inputs.bodies import BULKS, LONG_PATCHES, PATCHES, RESOURCES, SEARCHES, Body
from tools.stall.inputs.filters import FILTERS
from tools.stall.inputs.forms import FIELDS, FORM_TEXTS, RAW_FORMS, encoded
from tools.stall.inputs.headers import HEAD_BYTES, HEADERS, PATHS, SCIM
from tools.stall.inputs.queries import ANY_QUERIES, LINE_BYTES, PAGE_QUERIES, SCIM_QUERIES
from tools.stall.inputs.valid import VALID
from tools.stall.parties import Attacker
from tools.stall.routes import Kind, Route

_SMALL_RESPONSE: Final = {Kind.SCIM: "count=1&attributes=id", Kind.PAGE: "q=nobody-has-this-name"}
"""Queries with the smallest possible response."""
_BODY_LIMIT: Final = MAX_BODY_BYTES - 4_096
FORM: Final = "application/x-www-form-urlencoded"
_FEW: Final = (
    "an unclosed string of escaped quotes",
    "an unknown text of unassigned",
    "numbers",
    "empty objects",
    "unknown members",
    "a deep password around unassigned text",
)
"""Bodies for routes that do not read one."""


def attacks(route: Route, attacker: Attacker) -> Iterator[Attack]:
    """All attacks on a route."""
    for has_key in (True, False):
        route_attacks = _RouteAttacks(route, attacker, has_key)
        yield from route_attacks.heads()
        yield from route_attacks.queries()
        if route.takes_body:
            yield from route_attacks.bodies() if route.kind is Kind.SCIM else route_attacks.forms()


class _RouteAttacks:
    """Builds the attacks on one route, with or without credentials."""

    def __init__(self, route: Route, attacker: Attacker, has_key: bool) -> None:
        self._route = route
        self._attacker = attacker
        self._has_key = has_key
        self._path = attacker.path(route)
        self._credentials = tuple(attacker.headers(route) if has_key else ())
        self._form_token = attacker.form_token(route) if has_key else ""
        self._is_harmless = attacker.is_harmless(route)

    def heads(self) -> Iterator[Attack]:
        """Headers and paths at their limits, and a plain request, whose response may be large."""
        yield self._attack("the plain request", 1, lambda _: self._request(()))
        for name, make in HEADERS.items():
            yield self._attack(
                name,
                HEAD_BYTES,
                lambda size, make=make: self._request(
                    make(size), target=self._target(small_response=True)
                ),
            )
        for name, text in PATHS.items():
            yield self._attack(
                f"a path of {name}",
                LINE_BYTES,
                lambda size, text=text: self._request((), target=self._path + text(size)),
            )

    def queries(self) -> Iterator[Attack]:
        """Query parameters at their limits; pages and SCIM have different ones, POST has none."""
        queries = SCIM_QUERIES if self._route.kind is Kind.SCIM else PAGE_QUERIES
        if self._route.method != "GET":
            queries = ANY_QUERIES
        for name, query in queries.items():
            yield self._attack(
                name,
                LINE_BYTES,
                lambda size, name=name, query=query: self._request(
                    (),
                    target=self._target(query(size), small_response=name in ANY_QUERIES),
                ),
            )

    def bodies(self) -> Iterator[Attack]:
        """JSON bodies at their limit; a few without a key, because those are not read."""
        chosen = self._chosen_bodies()
        if self._has_key:
            valid = VALID.get((self._route.method, self._route.path.removeprefix(PREFIX)), {})
            chosen |= {name: (of(self._attacker), _BODY_LIMIT) for name, of in valid.items()}
        for name, (body, limit) in chosen.items():
            yield self._attack(
                name,
                limit,
                lambda size, body=body: self._request(
                    (("Content-Type", SCIM.encode()),), body=body(size)[:MAX_BODY_BYTES]
                ),
            )

    def _chosen_bodies(self) -> dict[str, tuple[Body, int]]:
        few = {name: RESOURCES[name] for name in _FEW}
        filters: Mapping[str, Body] = {}
        match self._route.method, self._route.path.removeprefix(PREFIX).split("/"):
            case _ if not self._has_key:
                chosen = few
            case "PATCH", [_, "Users" | "Groups", *_]:
                chosen = {**PATCHES, **LONG_PATCHES, **few}
            case "POST", [_, "Bulk"]:
                chosen = {**BULKS, **few}
            case "POST", [*_, ".search"]:
                chosen, filters = {**SEARCHES, **few}, FILTERS
            case _, [_, "Users" | "Groups", *rest] if "more" not in rest:
                chosen = {**RESOURCES}
            case _:
                chosen = few
        return {
            **{name: (body, _BODY_LIMIT) for name, body in chosen.items()},
            **{name: (body, MAX_LENGTH + 64) for name, body in filters.items()},
        }

    def forms(self) -> Iterator[Attack]:
        """Forms at their limits, with the valid CSRF token where that has no side effects."""
        token = (
            f"{CSRF_FIELD}={self._form_token}&" if self._form_token and self._is_harmless else ""
        )
        before = token.encode()
        fields = FIELDS.get(self._route.path, ("a",))
        for name, text in FORM_TEXTS.items():
            yield self._form(
                f"{name} in a form",
                lambda size, text=text: (
                    before
                    + b"".join(
                        b"%s=%s&" % (each.encode(), encoded(text(size // len(fields) // 3)))
                        for each in fields
                    )[:-1]
                ),
            )
        for name, unit in RAW_FORMS.items():
            yield self._form(name, lambda size, unit=unit: before + unit * (size // len(unit)))
            *others, last = (each.encode() for each in fields)
            # A form without all of its fields is rejected early.
            start = before + b"".join(b"%s=a&" % each for each in others) + last + b"="
            yield self._form(
                f"{name}, in a field",
                lambda size, unit=unit, start=start: start + unit * ((size - 200) // len(unit)),
            )

    def _form(self, name: str, body: Callable[[int], bytes]) -> Attack:
        largest = RESPONSE_FORM.max_bytes if self._route.path == ACS_PATH else MAX_FORM_BYTES
        limit = largest - 1_024
        return self._attack(
            name,
            limit,
            lambda size: self._request((("Content-Type", FORM.encode()),), body=body(size)[:limit]),
        )

    def _target(self, query: str = "", *, small_response: bool = False) -> str:
        """The path with a query. A small response does not hide the cost of the header."""
        if small_response and self._route.method == "GET":
            query = "&".join(filter(None, (_SMALL_RESPONSE[self._route.kind], query)))
        return (f"{self._path}?{query}" if query else self._path)[:LINE_BYTES]

    def _attack(self, name: str, limit: int, make: Callable[[int], RawRequest]) -> Attack:
        return Attack(self._route, name, self._has_key, make, limit)

    def _request(
        self, headers: tuple[Header, ...], *, target: str = "", body: bytes = b""
    ) -> RawRequest:
        # Cookies are added to those of the session; other headers replace those of the same name.
        named = {name.lower() for name, _ in headers}
        credentials = tuple(
            each
            for each in self._credentials
            if each[0].lower() not in named or named == {"cookie"}
        )
        return RawRequest(self._route.method, target or self._path, (*credentials, *headers), body)
