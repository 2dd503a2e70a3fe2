"""What a service does with its databases before it accepts calls."""

from chassis.database.clock_monitor import ClockMonitor
from chassis.database.verification import Verification


async def prepare(verification: Verification, clocks: ClockMonitor) -> bool:
    """Verify the databases, and compare the clocks. Returns False while a database is missing.

    Refuses (StartError) the database of another service or region, and an older schema.
    """
    if not await verification.attempt():
        return False
    await clocks.measure()
    return True
