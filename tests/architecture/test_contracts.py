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


def forbidden_imports(imports: ImportGraph, **options: object) -> list[str]:
    return contract(**options).check(imports, verbose=False).metadata["found"]


def test_pure_contract_allows_own_package_and_standard_library():
    imports = graph(("a.pure.one", "a.pure.two"), ("a.pure.one", "dataclasses"))
    assert forbidden_imports(imports) == []


def test_pure_contract_finds_any_other_import():
    imports = graph(("a.pure.one", "aiohttp"), ("a.pure.one", "a.store"), ("a.other", "aiohttp"))
    assert forbidden_imports(imports) == [
        "a.pure.one imports a.store",
        "a.pure.one imports aiohttp",
    ]


def test_pure_contract_allows_listed_module_but_no_similar_name():
    imports = graph(("a.pure.one", "orjson"), ("a.pure.one", "orjsonl"))
    assert forbidden_imports(imports, allowed=["orjson"]) == ["a.pure.one imports orjsonl"]


def test_pure_contract_finds_forbidden_standard_modules():
    imports = graph(("a.pure.one", "asyncio"))
    assert forbidden_imports(imports, forbidden_standard=["asyncio"]) == [
        "a.pure.one imports asyncio"
    ]
