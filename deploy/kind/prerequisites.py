"""What `make up` needs of a machine, and what to say where it is not there."""

import shutil
import subprocess
from dataclasses import dataclass

INSTEAD = (
    "Both regions also run without any of this, as processes on this machine:\n"
    "  make run\n"
    "  make run REGION=eu"
)
ENGINE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, and where it comes from."""

    name: str
    where: str


TOOLS = (
    Tool("docker", "https://docs.docker.com/get-started/get-docker/"),
    Tool("kind", "https://kind.sigs.k8s.io/docs/user/quick-start/#installation"),
    Tool("kubectl", "https://kubernetes.io/docs/tasks/tools/"),
)


def missing() -> list[str]:
    """What keeps a cluster from running here, a line each; nothing when all is there."""
    lines = [
        f"{tool.name} is not installed: {tool.where}"
        for tool in TOOLS
        if shutil.which(tool.name) is None
    ]
    if shutil.which("docker") is not None and (trouble := _engine_trouble()):
        lines.append(f"docker is installed, but no engine answers it: {trouble}")
    return lines


def _engine_trouble() -> str:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=ENGINE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"nothing for {ENGINE_SECONDS} seconds"
    if result.returncode == 0:
        return ""
    told = result.stderr.strip().splitlines()
    return told[-1] if told else f"exit code {result.returncode}"
