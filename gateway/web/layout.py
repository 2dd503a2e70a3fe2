"""The folder of the base template, which the portal and single sign-on share."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "templates"
