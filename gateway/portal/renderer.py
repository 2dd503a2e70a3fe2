"""Rendering of the portal's templates, which are compiled once at startup."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.web import templates

FOLDER: Final = Path(__file__).parent / "templates"


class TemplateRenderer:
    """Renders templates. Values are escaped; a missing value raises an error."""

    def __init__(self, asset_url: Callable[[str], str], filters: Mapping[str, Any]) -> None:
        self._environment = templates.environment(FOLDER)
        self._environment.globals["asset"] = asset_url
        self._environment.filters.update(filters)
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Render a template with these values to HTML."""
        return self._environment.get_template(template).render(values)
