"""How large the code is: lines, files, the longest file and function of each part. `python -m bench.size` prints it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS = {
    "awf_core": (ROOT / "awf_core",),
    **{plugin.name: (plugin / "src",) for plugin in sorted((ROOT / "plugins").iterdir()) if (plugin / "src").is_dir()},
    "tests": (ROOT / "tests", *sorted((ROOT / "plugins").glob("*/tests"))),
    "bench, examples": (ROOT / "bench", ROOT / "examples"),
}


def main() -> None:
    """Print a row for each part."""
    print(f"{'part':20} {'lines':>7} {'files':>6}  longest file                                  longest function")
    for part, folders in PARTS.items():
        files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
        lengths = {path: len(path.read_text().splitlines()) for path in files}
        longest = max(lengths, key=lengths.__getitem__)
        where = f"{longest.relative_to(ROOT)} {lengths[longest]}"
        print(f"{part:20} {sum(lengths.values()):7} {len(files):6}  {where:45} {longest_function(files)}")


def longest_function(files: list[Path]) -> str:
    """The longest function of `files`, its documentation not counted, and its length in lines."""
    sizes = [
        (_length(node), f"{path.name}:{node.name}")
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    length, name = max(sizes)
    return f"{name} {length}"


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    documentation = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) and first.end_lineno else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - documentation


if __name__ == "__main__":
    main()
