"""The house, as its imports tell it: who may lean on whom."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("gateway", "usersvc", "keysvc")
STANDARD = set(sys.stdlib_module_names)


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def top_levels(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", modules(*SERVICES), ids=name)
def test_no_service_imports_another(path: Path):
    others = {service for service in SERVICES if service != path.relative_to(ROOT).parts[0]}
    assert top_levels(path) & others == set()


@pytest.mark.parametrize("path", modules("chassis"), ids=name)
def test_the_chassis_knows_no_service_and_no_word_of_their_trade(path: Path):
    assert top_levels(path) & {*SERVICES, "cloudacademy", "deploy"} == set()
    words = ("scim", "organization", "api_key", "user_name", "integration")
    assert [word for word in words if word in path.read_text().lower()] == []


@pytest.mark.parametrize("path", modules("gateway/scim"), ids=name)
def test_the_scim_core_is_pure(path: Path):
    foreign = {
        module
        for module in imports(path)
        if module.partition(".")[0] not in STANDARD | {"orjson"}
        and not module.startswith("gateway.scim")
    }
    assert foreign == set()
    assert top_levels(path) & {"asyncio", "time", "socket"} == set()


@pytest.mark.parametrize("path", modules("usersvc/domain", "keysvc/domain"), ids=name)
def test_domain_modules_need_only_the_standard_library_and_errors(path: Path):
    service = path.relative_to(ROOT).parts[0]
    foreign = {
        module
        for module in imports(path)
        if module.partition(".")[0] not in STANDARD
        and not module.startswith(("chassis.errors", f"{service}.domain"))
    }
    assert foreign == set()


@pytest.mark.parametrize("path", modules(*SERVICES), ids=name)
def test_only_stores_speak_to_the_database(path: Path):
    assert "asyncpg" not in top_levels(path) or "store" in path.parts


def test_only_one_module_of_keysvc_reads_certificates():
    readers = [name(path) for path in modules("keysvc") if "cryptography" in top_levels(path)]
    assert readers == ["keysvc/rpc/certificates.py"]


@pytest.mark.parametrize("path", modules("usersvc", "keysvc"), ids=name)
def test_services_have_never_heard_of_scim_or_http(path: Path):
    text = path.read_text().lower()
    if name(path) == "keysvc/domain/sso.py":  # an identity provider's address is a URL
        text = re.sub(r"https?(\"|://| url)", "", text)
    assert [word for word in ("scim", "aiohttp", "http") if word in text] == []


@pytest.mark.parametrize("path", modules("gateway"), ids=name)
def test_the_gateway_knows_no_sql(path: Path):
    assert top_levels(path) & {"asyncpg", "psycopg", "sqlite3"} == set()
