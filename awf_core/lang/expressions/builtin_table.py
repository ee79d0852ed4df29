"""Every builtin by name. Read by the parser (which names are builtins), the checker and the emitter."""

from __future__ import annotations

from awf_core.lang.expressions.array_builtins import ARRAY_BUILTINS
from awf_core.lang.expressions.data_builtins import DATA_BUILTINS
from awf_core.lang.expressions.grammar import PREDICATE_ARGUMENTS
from awf_core.lang.expressions.number_builtins import NUMBER_BUILTINS
from awf_core.lang.expressions.signatures import BuiltinFunction
from awf_core.lang.expressions.text_builtins import TEXT_BUILTINS
from awf_core.lang.expressions.time_builtins import TIME_BUILTINS

BUILTINS: dict[str, BuiltinFunction] = {
    builtin.name: builtin
    for builtin in (*TEXT_BUILTINS, *NUMBER_BUILTINS, *ARRAY_BUILTINS, *DATA_BUILTINS, *TIME_BUILTINS)
}

NAMES = frozenset(BUILTINS) | frozenset(PREDICATE_ARGUMENTS)
