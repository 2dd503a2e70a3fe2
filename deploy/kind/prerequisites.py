"""The programs that `make up` needs, and the message when one is missing."""

import shutil
import subprocess
from dataclasses import dataclass

ALTERNATIVE = (
    "Both regions also run without Kubernetes, as processes on this machine:\n"
    "  make run\n"
    "  make run REGION=eu"
)
ENGINE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Tool:
    """A program and the page with its installation."""

    name: str
    where: str


TOOLS = (
    Tool("docker", "https://docs.docker.com/get-started/get-docker/"),
    Tool("kind", "https://kind.sigs.k8s.io/docs/user/quick-start/#installation"),
    Tool("kubectl", "https://kubernetes.io/docs/tasks/tools/"),
)


def missing() -> list[str]:
    """One line for each missing prerequisite; empty if the cluster can run here."""
    lines = [
        f"{tool.name} is not installed: {tool.where}"
        for tool in TOOLS
        if shutil.which(tool.name) is None
    ]
    if shutil.which("docker") is not None and (error := _engine_error()):
        lines.append(f"docker is installed, but its engine does not answer: {error}")
    return lines


def _engine_error() -> str:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=ENGINE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {ENGINE_SECONDS} seconds"
    if result.returncode == 0:
        return ""
    lines = result.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {result.returncode}"
