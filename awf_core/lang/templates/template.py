"""A compiled template, and its rendering.

Made once when a workflow loads, rendered many times by many threads at once. Rendering reads files only where the
template calls `readFile`, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from awf_core.lang.scope import Scope
from awf_core.lang.templates.errors import PREFIX, LimitError, TemplateError
from awf_core.lang.templates.namespaces import Root
from awf_core.lang.templates.parser import MAIN, parse
from awf_core.lang.templates.references import Reference, certain_references
from awf_core.lang.templates.state import State
from awf_core.lang.templates.statements import Body

MAX_TEMPLATE_CHARS = 2 * 1024 * 1024


class Template:
    """A text with `{{…}}` in it. Thread-safe.

    text    the template as it was written
    error   what is wrong with its syntax, None if nothing is
    """

    __slots__ = ("_templates", "error", "text")

    def __init__(
        self, text: str, templates: Mapping[str, Body] | None = None, error: TemplateError | None = None
    ) -> None:
        self.text = text
        self.error = error
        self._templates = templates

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def render(self, scope: Scope) -> str:
        """The text filled in from `scope`. Raises TemplateError, and nothing else."""
        if self.error is not None:
            raise self.error.again()
        if self._templates is None:
            return self.text
        root = Root(scope)
        state = State(self.text, self._templates, root)
        try:
            self._templates[MAIN].run(state, root)
        except LimitError as error:
            state.fail(str(error))
        except RecursionError:
            state.fail("the values are nested too deeply")
        return "".join(state.parts)

    def references(self) -> Iterator[Reference]:
        """What every rendering looks up; nothing for a template that does not compile."""
        if self._templates is not None:
            yield from certain_references(self._templates[MAIN])


def compile_template(text: str) -> Template:
    """`text` ready to be rendered; what is wrong with it is in `Template.error`. Never raises."""
    if "{{" not in text:
        return Template(text)
    if len(text) > MAX_TEMPLATE_CHARS:
        reason = f"longer than {MAX_TEMPLATE_CHARS} characters"
        return Template(text, error=TemplateError(f"{PREFIX}template: cmd:1: {reason}", line=1, column=1))
    try:
        return Template(text, parse(text))
    except TemplateError as error:
        return Template(text, error=error.again())
    except RecursionError:  # called from a deep stack; the parser's own bound is far below Python's
        reason = "nested too deeply"
        return Template(text, error=TemplateError(f"{PREFIX}template: cmd:1: {reason}", line=1, column=1))
