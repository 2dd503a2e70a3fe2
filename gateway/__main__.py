"""The process: `python -m gateway` reads the settings and serves until a signal to stop.

`python -m gateway fingerprints` prints the fingerprints of the keys in the settings, and ends.
"""

import json
import os
import sys

from chassis import process
from chassis.startup import StartError
from gateway import settings as gateway_settings
from gateway.http.compute_worker import SWITCH_SECONDS
from gateway.signing.region_keys import labels
from gateway.wiring import serve


def main() -> None:
    """Read the settings, and serve until a signal to stop."""
    try:
        process.keep_memory_private()
        sys.setswitchinterval(SWITCH_SECONDS)
        settings = gateway_settings.read(os.environ)
        if sys.argv[1:] == ["fingerprints"]:
            print(json.dumps(labels(settings.keys.fingerprints())))
            return
    except StartError as error:
        sys.exit(f"gateway: {error}")
    process.run(lambda stop: serve(settings, stop))


if __name__ == "__main__":
    main()
