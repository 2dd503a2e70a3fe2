"""The templates of pages."""

from pathlib import Path

import jinja2

from gateway.web import layout


def environment(folder: Path) -> jinja2.Environment:
    """The templates of a folder and those of the layout, compiled once.

    Values are escaped; a missing value raises an error.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, layout.FOLDER]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
