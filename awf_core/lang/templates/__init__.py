"""Interpolation: Go's text/template as the workflow language uses it.

`compile_template` once when a workflow loads, `Template.render` for every value that is needed.
"""

from awf_core.lang.templates.errors import TemplateError
from awf_core.lang.templates.template import Template, compile_template

__all__ = ["Template", "TemplateError", "compile_template"]
