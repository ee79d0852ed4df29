"""Which module knows which: the parts a newcomer reads first can be read one after the other."""

from __future__ import annotations

import grimp
import pytest

GRAPH = grimp.build_graph("awf_core", cache_dir=None)


@pytest.mark.parametrize("package", ["worker", "plugin", "config", "observe"])
def test_no_two_modules_import_each_other_even_for_types(package: str) -> None:
    modules = GRAPH.find_descendants(f"awf_core.{package}")

    imports = [(module, other) for module in modules for other in GRAPH.find_modules_directly_imported_by(module)]

    assert [pair for pair in imports if GRAPH.chain_exists(importer=pair[1], imported=pair[0])] == []
