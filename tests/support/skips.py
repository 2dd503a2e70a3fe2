"""Hooks of pytest for a run in CI: a skipped test is a failure there.

With pytest-xdist they act only in the controller, whose terminal reporter has the reports of all
workers. A worker has no terminal reporter.
"""

import os

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print why the run fails; pytest itself lists the skipped tests and their reasons."""
    if os.environ.get("CI") and terminalreporter.stats.get("skipped"):
        terminalreporter.write_line("CI is set, and tests were skipped: the run fails.")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
