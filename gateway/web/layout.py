"""The template that every page extends: portal and single sign-on share it."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "templates"
