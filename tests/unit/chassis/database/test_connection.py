"""Names of prepared statements."""

import subprocess
import sys

PRINT_NAME = (
    "from chassis.database.connection import Connection;"
    "print(Connection._get_unique_id(None, 'stmt'))"
)


def test_names_of_prepared_statements_differ_between_processes():
    """Behind a pooler, equal names would let one process execute another one's statement."""
    names = {
        subprocess.run(
            [sys.executable, "-c", PRINT_NAME], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(names) == 2
