"""The contract type of tests/architecture/contracts.py finds forbidden imports."""

from grimp import ImportGraph

from tests.architecture.contracts import PureContract


def graph(*imports: tuple[str, str]) -> ImportGraph:
    built = ImportGraph()
    for package in ("a", "a.pure"):
        built.add_module(package)
    for importer, imported in imports:
        for module in (importer, imported):
            if module not in built.modules:
                built.add_module(module)
        built.add_import(importer=importer, imported=imported)
    return built


def contract(**options: object) -> PureContract:
    return PureContract(
        "pure", session_options={}, contract_options={"packages": ["a.pure"], **options}
    )


def found(built: ImportGraph, **options: object) -> list[str]:
    return contract(**options).check(built, verbose=False).metadata["found"]


def test_pure_contract_allows_itself_and_the_standard_library():
    built = graph(("a.pure.one", "a.pure.two"), ("a.pure.one", "dataclasses"))
    assert found(built) == []


def test_pure_contract_finds_any_other_import():
    built = graph(("a.pure.one", "aiohttp"), ("a.pure.one", "a.store"), ("a.other", "aiohttp"))
    assert found(built) == ["a.pure.one imports a.store", "a.pure.one imports aiohttp"]


def test_pure_contract_allows_what_is_named_and_nothing_like_it():
    built = graph(("a.pure.one", "orjson"), ("a.pure.one", "orjsonl"))
    assert found(built, allowed=["orjson"]) == ["a.pure.one imports orjsonl"]


def test_pure_contract_finds_forbidden_standard_modules():
    built = graph(("a.pure.one", "asyncio"))
    assert found(built, forbidden_standard=["asyncio"]) == ["a.pure.one imports asyncio"]
