"""An installed plugin: a module and a dist-info in a directory, which is all that pip leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def install_plugin(site: Path, module: str, source: str) -> None:
    """Put plugin `module` into `site`, which has to be on the import path of the process that loads it."""
    (site / f"{module}.py").write_text("from awf_core import hookimpl\n" + source)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[awf.plugins]\n{module} = {module}\n")
