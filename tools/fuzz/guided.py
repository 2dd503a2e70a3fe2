"""Fuzzes one parser with atheris, which is guided by coverage: it prefers inputs that run new code.

    python -m tools.fuzz.guided TARGET FOLDER SECONDS

Runs in the environment of requirements/fuzz.txt. Reads the corpus from FOLDER/corpus and writes
inputs that make the parser fail to FOLDER.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gateway.scim", "gateway.sso", "usersvc", "keysvc"]):
    from tools.fuzz.parsers import feed


def main(name: str, folder: Path, seconds: str) -> None:
    """Run the target on generated inputs until time is up or it raises an unexpected exception."""
    atheris.Setup(
        [
            sys.argv[0],
            str(folder / "corpus"),
            f"-max_total_time={seconds}",
            f"-artifact_prefix={folder}/",
            "-max_len=16384",
            "-timeout=10",
            "-rss_limit_mb=2048",
        ],
        lambda data: feed(name, data),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
