"""The diagram of docs/architecture.md shows the import contracts; paths and links exist."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/architecture.md").read_text()
EXAMPLES = ("NNNN", "hello")
"""Parts of the names of files that CONTRIBUTING.md tells a reader to add."""
CHECKED_DOCUMENTS = ("docs/architecture.md", "CONTRIBUTING.md", "README.md")
DECISIONS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
HEADINGS = ["Context", "Decision", "Alternatives considered", "Consequences"]

Layers = list[set[str]]


def contract_layers() -> dict[str, Layers]:
    """The layers of each container in pyproject.toml."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {
        container: [set(re.findall(r"\w+", layer)) for layer in contract["layers"]]
        for contract in options["contracts"]
        if contract["type"] == "layers"
        for container in contract.get("containers", ())
    }


def drawn_layers(name: str) -> Layers:
    """The nodes of a subgraph of the diagram, in the order of its arrows."""
    [block] = re.findall(rf"subgraph {name} \[.*?\n(.*?)\n    end", DOCUMENT, re.DOTALL)
    labels = dict(re.findall(r'(\w+)\["(.+?)"\]', block))
    chain: list[str] = []
    for line in block.splitlines()[1:]:  # the first one sets the direction
        nodes = [re.sub(r"\[.*", "", node.strip()) for node in line.split("-->")]
        assert chain == [] or chain[-1] == nodes[0]
        chain += nodes if chain == [] else nodes[1:]
    return [set(re.findall(r"\w+", labels[node].partition(":")[0])) for node in chain]


@pytest.mark.parametrize(
    ("subgraph", "container"),
    [
        ("gateway", "gateway"),
        ("services", "usersvc"),
        ("services", "keysvc"),
        ("chassis", "chassis"),
    ],
)
def test_diagram_shows_the_layers_of_the_contract(subgraph: str, container: str):
    assert drawn_layers(subgraph) == contract_layers()[container]


@pytest.mark.parametrize("name", CHECKED_DOCUMENTS)
def test_files_named_in_a_document_exist(name: str):
    text = (ROOT / name).read_text()
    paths = re.findall(
        r"`((?:gateway|usersvc|keysvc|chassis|protos|tests|deploy|tools)/\S+?)`", text
    )
    paths += re.findall(r"^ (\w+/\S+?),? ", text, re.MULTILINE)
    named = [path for path in paths if not any(example in path for example in EXAMPLES)]
    missing = [path for path in named if not list(ROOT.glob(path))]
    assert missing == []


def links(path: Path) -> list[Path]:
    """The files that a document links to."""
    found = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    return [(path.parent / target).resolve() for target in found]


@pytest.mark.parametrize(
    "path",
    [
        *(ROOT / name for name in CHECKED_DOCUMENTS),
        *sorted((ROOT / "docs").glob("*.md")),
        *DECISIONS,
    ],
    ids=str,
)
def test_links_of_a_document_lead_to_existing_files(path: Path):
    assert [str(target) for target in links(path) if not target.exists()] == []


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_decision_record_has_title_status_date_and_sections(path: Path):
    text = path.read_text()
    assert text.startswith(f"# {path.stem[:4]}. ")
    assert re.search(r"^- Status: (accepted|superseded by \d{4})$", text, re.MULTILINE)
    assert re.search(r"^- Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


def test_index_of_decisions_has_each_record_once():
    index = (ROOT / "docs/adr/README.md").read_text()
    rows = re.findall(
        r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \| (\w.*) \| (\S+) \|$", index, re.MULTILINE
    )
    expected = []
    for path in DECISIONS:
        text = path.read_text()
        title = text.partition("\n")[0].removeprefix(f"# {path.stem[:4]}. ")
        status, date = re.findall(r"^- (?:Status|Date): (.+)$", text, re.MULTILINE)
        expected.append((path.stem[:4], path.name, title, status, date))
    assert rows == expected
