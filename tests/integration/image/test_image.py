"""The content of the image."""

import json
import subprocess

import pytest

from tests.support.image.images import build
from tests.support.image.shared import Image
from tests.support.k8s.tools import ROOT, deploy_tool

pytestmark = pytest.mark.timeout(600)

_INSPECTION = """
import importlib.util, json, os, pathlib, shutil
programs = ("pip", "pip3", "gcc", "cc", "ld", "make")
tools = ("pip", "setuptools", "wheel", "grpc_tools", "pytest", "deploy", "tests")
def writable(path):
    return os.access(path, os.W_OK)
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "programs": [name for name in programs if shutil.which(name)],
    "modules": [name for name in tools if importlib.util.find_spec(name)],
    "writable": [str(p) for p in pathlib.Path("/app").rglob("*") if writable(p)],
    "uncompiled": [str(p) for p in pathlib.Path("/app/gateway").rglob("*.py")
                   if not list((p.parent / "__pycache__").glob(p.stem + ".*.pyc"))],
}))
"""


def test_dockerfile_passes_hadolint():
    command = [deploy_tool("hadolint"), str(ROOT / "deploy/image/Dockerfile")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_image_has_no_build_tools_or_installers(image: Image):
    result = image.store.run(image.name, "-c", _INSPECTION, options=("--entrypoint", "python3"))

    assert result.stderr == ""
    assert json.loads(result.stdout) == {
        "user": [65532, 65532],
        "programs": [],
        "modules": [],
        "writable": [],
        "uncompiled": [],
    }


def test_image_has_labels_user_and_entrypoint(image: Image):
    found = json.loads(image.store.buildah("inspect", "--type", "image", image.name))

    config = found["OCIv1"]["config"]
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
        if name.startswith("org.opencontainers")
    }
    assert labels == {
        "title": "cloudacademy-provisioning",
        "description": "SCIM 2.0 provisioning: gateway, usersvc, keysvc",
        "vendor": "Cloud Academy",
        "version": "1.2.3",
        "revision": "abc",
    }
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/usr/bin/python3", "-m"]


def test_same_sources_produce_identical_layers(image: Image):
    rebuilt = build(image.store, image.wheelhouse, "localhost/provisioning:again", "--no-cache")

    first, second = (
        json.loads(image.store.buildah("inspect", "--type", "image", name))["OCIv1"]["rootfs"]
        for name in (image.name, rebuilt)
    )
    assert first == second
