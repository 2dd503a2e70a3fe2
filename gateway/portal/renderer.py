"""The templates, read once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jinja2

from gateway.web import layout

FOLDER: Final = Path(__file__).parent / "templates"


class TemplateRenderer:
    """Fills templates. Every value is escaped, and one that is missing is a fault."""

    def __init__(self, asset_url: Callable[[str], str], filters: Mapping[str, Any]) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader([FOLDER, layout.FOLDER]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self._environment.globals["asset"] = asset_url
        self._environment.filters.update(filters)
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """A template with its values."""
        return self._environment.get_template(template).render(values)
