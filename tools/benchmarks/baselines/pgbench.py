"""A lower bound: the same statements by pgbench, PostgreSQL's load generator.

pgbench does not check results. A failed statement ends it, which is an error here.
"""

import asyncio
import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from chassis.database.pool import POOL_SIZE
from deploy.local.postgres import find_binaries
from tools.benchmarks.baselines import statements
from tools.benchmarks.baselines.statements import Statement
from tools.benchmarks.client import Bound, Sample
from tools.benchmarks.processes import cpu_of_families
from tools.benchmarks.service import Region

COUNTED_REQUESTS = 1_000
"""Up to this limit of requests, pgbench gets their number; above it, a time in whole seconds."""
SCRIPTS = 100
"""Number of different arguments per statement: pgbench accepts at most 128 scripts."""


@dataclass(frozen=True)
class Pgbench:
    """Runs pgbench with at most as many connections as the service's pool."""

    name: str
    operations: Mapping[str, Statement]
    database: str
    database_pid: int

    async def run(self, operation: str, connections: int, bound: Bound) -> Sample:
        with TemporaryDirectory(prefix="pgbench-") as name:
            folder = Path(name)
            command = self._command(operation, min(connections, POOL_SIZE), bound, folder)
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env={"PGPASSWORD": unquote(urlsplit(self.database).password or "")},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            output, errors = await process.communicate()
            if process.returncode != 0:
                raise RuntimeError(f"pgbench failed: {errors.decode()[-2_000:]}")
            return _sample(output.decode(), folder)

    def cpu(self) -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime + cpu_of_families([self.database_pid])

    def _command(self, operation: str, connections: int, bound: Bound, folder: Path) -> list[str]:
        parts = urlsplit(self.database)
        command = [find_binaries().path("pgbench"), "--no-vacuum", "--protocol=prepared", "--log"]
        command += [f"--client={connections}", "--jobs=1"]
        if bound.requests <= COUNTED_REQUESTS:
            command += [f"--transactions={-(-bound.requests // connections)}"]
        else:
            command += [f"--time={max(1, round(bound.seconds))}"]
        command += [f"--host={parts.hostname}", f"--port={parts.port}"]
        command += [f"--username={parts.username}"]
        scripts = 1 if operation == "create" else SCRIPTS
        for script in range(scripts):
            text, variables = _script(self.operations[operation], script, fresh=scripts == 1)
            path = folder / f"{script}.sql"
            path.write_text(text)
            command += ["--file", str(path)]
            for variable, value in variables.items():
                command += ["--define", f"{variable}={value}"]
        return [*command, parts.path.removeprefix("/")]


def _script(statement: Statement, script: int, *, fresh: bool) -> tuple[str, dict[str, str]]:
    """A statement as a pgbench script: `$3` becomes `:s0_3`, a variable with a text value.

    A variable cannot be NULL, so NULL is written into the script. With `fresh`, the user name of
    each execution is a random number; the e-mail address stays the same.
    """
    variables: dict[str, str] = {}
    arguments = statement.arguments()

    def word(match: re.Match[str]) -> str:
        value = arguments[int(match[1]) - 1]
        if value is None:
            return "NULL"
        if fresh and int(match[1]) in statement.unique:
            return ":name"
        variable = f"s{script}_{match[1]}"
        variables[variable] = _text(value)
        return f":{variable}"

    sql = re.sub(r"\$(\d+)", word, " ".join(statement.sql.split()))
    set_name = "\\set name random(1, 1000000000000000000)\n" if fresh else ""
    return f"{set_name}{sql};\n", variables


def _text(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case list() | tuple():
            return "{" + ",".join(map(_text, value)) + "}"
        case _:
            return str(value)


def _sample(output: str, folder: Path) -> Sample:
    rate = re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)
    failed = re.search(r"^number of failed transactions: (\d+)", output, re.MULTILINE)
    sample = Sample(wrong=int(failed[1]) if failed else 0)
    for log in folder.glob("pgbench_log.*"):
        # client, transaction, microseconds, script, when
        sample.latencies += [int(line.split()[2]) / 1e6 for line in log.read_text().splitlines()]
    assert rate is not None, output
    sample.seconds = len(sample.latencies) / float(rate[1])
    return sample


def pgbench(region: Region) -> list[Pgbench]:
    """The statements of the service; `create` once without and once with the change log."""
    context = (region.organization_id, region.server.work)
    plain = {
        "get": statements.get(*context),
        "filter": statements.filter_(*context),
        "create": statements.create(*context),
    }
    with_log = {"create": statements.create_with_change(*context)}
    database = (region.database, region.postgres)
    return [
        Pgbench("pgbench", plain, *database),
        Pgbench("pgbench, and the log", with_log, *database),
    ]
