"""Each package uses only its own vocabulary; pyproject.toml has the import contracts."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def modules(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules("chassis"), ids=name)
def test_chassis_does_not_mention_the_domain_of_the_services(path: Path):
    words = ("scim", "organization", "api_key", "user_name", "integration")
    assert [word for word in words if word in path.read_text().lower()] == []


@pytest.mark.parametrize("path", modules("usersvc", "keysvc"), ids=name)
def test_services_do_not_mention_scim_or_http(path: Path):
    text = path.read_text().lower()
    if name(path) == "keysvc/domain/sso.py":  # an identity provider's address is a URL
        text = re.sub(r"https?(\"|://| url)", "", text)
    assert [word for word in ("scim", "aiohttp", "http") if word in text] == []
