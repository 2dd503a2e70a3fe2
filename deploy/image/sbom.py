"""The image's bill of materials as CycloneDX JSON: locked requirements and packages of its base.

    python -m cyclonedx_py requirements --no-validate --output-reproducible runtime.txt |
        python sbom.py VERSION [DPKG]

`DPKG` is the base's /var/lib/dpkg. Debian keeps all packages in one file, `status`; distroless has
a file for each, in `status.d`. The output is reproducible: the same image gives the same bytes.
"""

import json
import sys
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

NAME = "cloudacademy-provisioning"


def main(version: str, dpkg: Path | None = None) -> str:
    """The complete document; reads the document of the requirements from standard input."""
    document = json.load(sys.stdin)
    for component in document["components"]:
        component.pop("description", None)  # it only repeats the line of the lock file
    base = sorted(_packages(dpkg), key=lambda package: package["bom-ref"]) if dpkg else []
    document["components"] += base
    image = {"bom-ref": NAME, "type": "container", "name": NAME, "version": version}
    document.setdefault("metadata", {})["component"] = image
    refs = [component["bom-ref"] for component in document["components"]]
    document["dependencies"] = [
        {"ref": NAME, "dependsOn": sorted(refs)},
        *({"ref": each} for each in sorted(refs)),
    ]
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _packages(dpkg: Path) -> Iterator[dict[str, Any]]:
    """The packages of the base. Exits if there are none, else a missing base would go unnoticed."""
    files = [path for path in (dpkg / "status", *dpkg.glob("status.d/*")) if path.is_file()]
    paragraphs = [
        HeaderParser().parsestr(paragraph)
        for path in files
        for paragraph in path.read_text().split("\n\n")
        if paragraph.startswith("Package:")
    ]
    if not paragraphs:
        raise SystemExit(f"sbom: {dpkg} lists no package")
    for fields in paragraphs:
        name, version, architecture = (
            str(fields[field]) for field in ("Package", "Version", "Architecture")
        )
        package = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}"
        yield {
            "bom-ref": package,
            "type": "library",
            "name": name,
            "version": version,
            "purl": package,
        }


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1], *map(Path, sys.argv[2:])))
