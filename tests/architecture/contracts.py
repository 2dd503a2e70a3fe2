"""A contract type for import-linter: packages that import almost nothing."""

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class PureContract(Contract):
    """The packages import only themselves, the standard library and the allowed modules.

    import-linter's `forbidden` contract needs a list of forbidden modules; this one needs no change
    when a dependency is added. Modules of the standard library that do I/O or read the clock may
    be forbidden by name.
    """

    type_name = "pure"

    packages = fields.SetField(subfield=fields.StringField())
    allowed = fields.SetField(subfield=fields.StringField(), required=False, default=set())
    forbidden_standard = fields.SetField(
        subfield=fields.StringField(), required=False, default=set()
    )

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find all direct imports by the packages that the contract does not allow."""
        found = sorted(
            f"{importer} imports {imported}"
            for package in self.packages  # type: ignore[attr-defined]
            for importer in {package, *graph.find_descendants(package)}
            for imported in graph.find_modules_directly_imported_by(importer)
            if not self._is_allowed(package, imported)
        )
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the imports that are not allowed."""
        for line in check.metadata["found"]:
            output.print_error(line)

    def _is_allowed(self, package: str, imported: str) -> bool:
        root = imported.partition(".")[0]
        if root in sys.stdlib_module_names:
            return root not in self.forbidden_standard  # type: ignore[operator]
        return any(
            imported == allowed or imported.startswith(f"{allowed}.")
            for allowed in (package, *self.allowed)  # type: ignore[misc]
        )
