"""For every accepted URL, asyncpg connects to the hosts that we checked."""

import ssl
from collections.abc import Iterator

import asyncpg
import pytest
from asyncpg.connect_utils import (  # type: ignore[import-untyped]
    _ConnectionParameters,
    _parse_connect_dsn_and_args,
)
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.config.database_url import find_problems, is_loopback
from tests.support.chassis.authorities import Authority

TWO_AT_SIGNS = "has more than one @ before the database name: write %40 in a password"
OTHER_ARGUMENTS = ("host", "port", "user", "password", "passfile", "database", "ssl", "service")
OTHER_ARGUMENTS += ("servicefile", "direct_tls", "server_settings", "target_session_attrs")
OTHER_ARGUMENTS += ("krbsrvname", "gsslib")
PARSE_ERRORS = (asyncpg.ClientConfigurationError, ValueError, IndexError)

LOCAL = ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql", "127%2E0.0.1"]
REMOTE = ["evil.test", "%65vil.test", "[2001:db8::1]", "127.0.0.1.evil.test"]
MALFORMED = ["", "::1", "[::1", "localhost]", "[::1]evil.test", "[127.0.0.1]"]
MALFORMED += ["localhost%2Cevil.test"]

# Characters with a meaning in a URL, and a few others.
texts = st.text(st.sampled_from("@:/?#[]%,&=;\\ \tab%40%2F0"), max_size=8)
hosts = st.lists(
    st.sampled_from(
        [*LOCAL, *REMOTE, *LOCAL, *REMOTE, *MALFORMED, "localhost:5432", "evil.test:x"]
    ),
    min_size=1,
    max_size=3,
).map(",".join)
OPTIONS = ["sslmode=disable", "host=/run/postgresql", "host=", "service=x", "x", "port=1"]
MISPLACED_SECRETS = ["port=ab12cd", "sslpassword=ab12cd", "passfile=ab12cd"]
options = st.lists(
    st.one_of(
        st.sampled_from([*OPTIONS, *MISPLACED_SECRETS]),
        hosts.map("host={}".format),
        texts.map("password={}".format),
    ),
    max_size=2,
)


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """URLs that an operator may write, with mistakes and manipulations."""
    user, password = "keys", "ab12cd" + draw(st.just("") | texts)
    sign = draw(st.sampled_from(["@", "@", "@", "@localhost@", "@evil.test@", ""]))
    query = "&".join([*draw(st.sampled_from([["sslmode=verify-full"], []])), *draw(options)])
    return f"postgresql://{user}:{password}{sign}{draw(hosts)}/keys" + (query and f"?{query}")


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An environment with another default host and an authority that verifies databases."""
    home = tmp_path_factory.mktemp("home")
    authority = Authority().issue(home / "certificate", "keys-rw").authority
    (home / ".postgresql").mkdir()
    (home / ".postgresql" / "root.crt").write_bytes(authority.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("PGHOST", "evil.test")
        yield


def parsed_by_asyncpg(url: str) -> tuple[list[tuple[str, int] | str], _ConnectionParameters]:
    return _parse_connect_dsn_and_args(dsn=url, **dict.fromkeys(OTHER_ARGUMENTS))  # type: ignore[no-any-return]


@given(addresses())
@example("postgresql://keys:x@localhost@evil.test/keys")
@example("postgresql://keys:x@evil.test@localhost/keys")
@example("postgresql://keys:x@127.0.0.1:5432,evil.test@127.0.0.1/keys")
@example("postgresql://keys:x@/keys")
@example("postgresql://keys:x@[::1],localhost]/keys")
@example("postgresql://keys:x@/keys?host=::1")
@example("postgresql://keys:x@%2Frun%2Fpostgresql/keys")
@example("postgresql://keys:ab12cd@evil.test/keys?sslmode=verify-full")
@example("postgresql://keys:ab12cd@evil.test/keys?sslmode=verify-full&sslmode=disable")
def test_asyncpg_connects_only_to_local_or_verified_hosts(url: str):
    if [*find_problems(url)]:
        return
    try:
        endpoints, parameters = parsed_by_asyncpg(url)
    except PARSE_ERRORS:
        return

    remote = [endpoint for endpoint in endpoints if not is_local(endpoint)]
    tls = parameters.ssl
    assert not remote or (tls.check_hostname and tls.verify_mode is ssl.CERT_REQUIRED)
    assert not remote or parameters.password not in (None, "", "keys", "password")


def is_local(endpoint: tuple[str, int] | str) -> bool:
    return isinstance(endpoint, str) or is_loopback(endpoint[0])


@given(addresses())
@example("postgresql://keys:x@localhost/keys?port=ab12cd")
@example("postgresql://keys:x@[ab12cd/keys")
def test_asyncpg_error_for_an_accepted_url_has_no_password(url: str):
    """asyncpg's error text is printed when the process starts."""
    error_text = ""
    try:
        if not [*find_problems(url)]:
            parsed_by_asyncpg(url)
    except PARSE_ERRORS as error:
        error_text = str(error)

    assert "ab12cd" not in error_text


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://keys:x@localhost,127.0.0.1:5433,127.0.0.2/keys", 3),
        ("postgresql://keys:x@/keys?host=/run/postgresql,localhost:5433", 2),
        ("postgresql://keys:p%40ss%2F%3F%23@%2Frun%2Fpostgresql/keys", 1),
    ],
)
def test_all_names_of_this_machine_are_accepted(url: str, hosts: int):
    assert [*find_problems(url)] == []
    endpoints, _ = parsed_by_asyncpg(url)
    assert len(endpoints) == hosts
    assert all(map(is_local, endpoints))


@pytest.mark.parametrize("endpoint", ["localhost", "evil.test", "evil.test@localhost", ""])
def test_second_at_sign_is_refused_without_quoting_the_password(endpoint: str):
    assert [*find_problems(f"postgresql://keys:s3cr@t@{endpoint}/keys?sslmode=verify-full")] == [
        TWO_AT_SIGNS
    ]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://keys:s3cr?t@localhost/keys",
        "postgresql://keys:s3cr/t@localhost/keys",
        "postgresql://keys:s3cr#t@localhost/keys",
        "postgresql://keys:[s3cr@localhost/keys",
        "postgresql://keys:x@localhost/keys?s3cr",
        "postgresql://keys:x@localhost:s3cr/keys",
        "postgresql://keys:x@localhost/keys?port=s3cr",
    ],
)
def test_unescaped_password_is_refused_unquoted(url: str):
    problems = " ".join(find_problems(url))
    assert problems
    assert "s3cr" not in problems
