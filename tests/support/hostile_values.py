"""Values of inputs that try to run a command in a shell, whatever quotes they land in. Deterministic."""

from __future__ import annotations

from collections.abc import Iterator

_WRAPPERS = {
    "separator": ("; {};", "\n{}\n", "& {} &", "| {} |", "&& {} ||"),
    "substitution": ("$({})", "`{}`", "${{x:-$({})}}", "$(({}))", "<({})", "a[$({})]"),
    "closes-quotes": ("'; {}; '", '"; {}; "', "\"'; {}; '\"", "\\'; {}; \\'", "'\"'\"'; {}; '"),
    "closes-context": ("); {}; (", "}}; {}; {{", "))\n{}\n((", ";; esac; {};", "\nfi\n{}\n", "\ndone\n{}\n"),
    "here-document": ("x\nEOF\n{}\ncat <<EOF\n", "\n\tEOF\n{}\n", "EOF\n{}"),
    "comment": ("#\n{}", "x # '\n{}\n#'", "x #$({})"),
    "escapes": ("\\\n{}\n", "\\`{}\\`", "\\$({})", "$'\\'; {}; \\''"),
    "redirection": ("> {1} ", ">{1}", ">>{1}", "2>{1}", "<>{1}"),
}
"""Ways to get out of a place, by class. {} is the command, {1} the file that it would create."""


def hostile_values(canary: str) -> Iterator[tuple[str, str]]:
    """The class and the text of each value; each would create the file `canary`."""
    for name, wrappers in _WRAPPERS.items():
        for wrapper in wrappers:
            command = f": > {canary}"
            yield name, wrapper.format(command, canary) if "{1}" not in wrapper else wrapper.replace("{1}", canary)
