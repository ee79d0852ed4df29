"""One state of a workflow: the keys every type has, and the spec its type's parser makes.

Called by the loader for each state. It reads one state alone; what states say about each other is in `checks.py`.
The load-time check of conditions knows no values yet. The engine decides which types retry.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from awf_core.lang.expressions import Expression, check_when, compile_late
from awf_core.lang.fields import Fields, StateFields
from awf_core.lang.findings import Findings, Stage
from awf_core.lang.go.durations import parse_duration_ns, whole_milliseconds
from awf_core.lang.go.quoting import quoted
from awf_core.lang.model import INLINE_ERROR_PREFIX, TERMINAL, RetryRule, State, TemplateRef, Transition
from awf_core.lang.problems import MISSING_FIELD, Problem, StepProblem
from awf_core.lang.sections import read_state_hooks
from awf_core.lang.step_types import COMMAND_TYPES, StepParser, StepTypes, inline_failure

_DEFAULT_INLINE_EXIT_CODE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What a state says about others beyond its transitions; read whatever the type, as the original does."""

    branches: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    on_complete: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadState:
    """A state as read. `state` is None when it breaks a rule of its own, which `findings` know by then.

    `inline` is the terminal its inline `on_failure` became.
    """

    fields: StateFields
    state: State | None
    inline: State | None
    links: Links
    is_command: bool
    is_terminal: bool

    @property
    def name(self) -> str:
        """The state's name."""
        return self.fields.name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    """What is read of every type. `state` lacks its transitions and the spec that its type's parser makes."""

    state: State
    inline: State | None
    links: Links


def read_state(fields: StateFields, step_types: StepTypes, findings: Findings) -> ReadState | None:
    """The state, or None when it can't be made out. `findings` get the first problem of it: one often causes others."""
    parser = step_types.get(fields.type)
    if parser is None:
        findings.add(Stage.MAPPING, _unknown_type(fields, step_types))
        return None
    common = findings.attempt(lambda: _read_common(fields), Stage.MAPPING, fields)
    if common is None:
        return None
    prefix = f"step '{fields.name}': "
    state = findings.attempt(lambda: _read_own(fields, parser, common.state), Stage.RULES, fields, prefix=prefix)
    return ReadState(
        fields=fields,
        state=state,
        inline=common.inline,
        links=common.links,
        is_command=fields.type.lower() in COMMAND_TYPES,
        is_terminal=parser.name == TERMINAL,
    )


def _read_own(fields: StateFields, parser: StepParser, common: State) -> State:
    spec = parser.parse(fields)
    if common.retry is not None:
        check_retry(common.retry)
    return replace(common, type=parser.name, spec=spec, transitions=read_transitions(fields))


def _unknown_type(fields: StateFields, step_types: StepTypes) -> Problem:
    text, advice = step_types.refusal(fields.type)
    return Problem(message=f"step '{fields.name}': {text}", line=fields.line_of("type"), hint=advice)


def _read_common(fields: StateFields) -> _Common:
    """Reads the keys in the order in which the original reports their problems."""
    on_failure, inline = _read_on_failure(fields)
    state = State(
        name=fields.name,
        type=fields.type,
        spec=None,
        line=fields.line,
        on_success=fields.text("on_success") or None,
        on_failure=on_failure,
        continue_on_error=fields.flag("continue_on_error"),
        timeout_s=max(0, fields.duration_s("timeout") or 0),
        retry=read_retry(fields),
    )
    pre, post = read_state_hooks(fields)
    links = _read_links(fields)
    state = replace(state, pre=pre, post=post, template=read_template_ref(fields))
    return _Common(state=state, inline=inline, links=links)


def read_template_ref(fields: Fields) -> TemplateRef | None:
    """What `use_template` and `parameters` of a state name, None without the first."""
    name = fields.text("use_template")
    return TemplateRef(name=name, parameters=fields.mapping("parameters")) if name else None


def _read_on_failure(fields: StateFields) -> tuple[str | None, State | None]:
    match fields.raw("on_failure"):
        case None:
            return None, None
        case str() as name:
            return name or None, None
        case dict() as inline if all(isinstance(key, str) for key in inline):
            state = _inline_state(fields, inline)
            return state.name, state
    raise StepProblem("must be a string or object", key="on_failure")


def _inline_state(fields: StateFields, inline: dict[str, Any]) -> State:
    if "message" not in inline:
        raise StepProblem(MISSING_FIELD, key="on_failure", hint="An inline on_failure needs a `message`.")
    message = inline["message"]
    if not isinstance(message, str) or not message:
        raise StepProblem("must be a non-empty string", key="on_failure", hint="Quote the `message`.")
    return State(
        name=INLINE_ERROR_PREFIX + fields.name,
        type=TERMINAL,
        spec=inline_failure(message, _exit_code(inline.get("status"))),
        line=fields.line_of("on_failure"),
    )


def _exit_code(status: object) -> int:
    if isinstance(status, (int, float)) and not isinstance(status, bool):
        return int(status) if abs(status) < float("inf") else _DEFAULT_INLINE_EXIT_CODE
    return _DEFAULT_INLINE_EXIT_CODE


def _read_links(fields: StateFields) -> Links:
    is_parallel = fields.type.lower() == "parallel"
    is_loop = fields.raw("items") is not None or fields.text("while") != ""
    return Links(
        branches=fields.list_of_text("parallel") if is_parallel else (),
        body=fields.list_of_text("body") if is_loop else (),
        on_complete=fields.text("on_complete") if is_loop else "",
    )


def read_transitions(fields: Fields) -> tuple[Transition, ...]:
    """The transitions in order. Raises StepProblem for a `when` that does not compile.

    A missing `goto` comes out as an empty one, for `check_gotos`.
    """
    entries = fields.each("transitions", "repository.yamlTransition")
    return tuple(_transition(index, entry) for index, entry in enumerate(entries))


def check_gotos(transitions: tuple[Transition, ...]) -> None:
    """Raises StepProblem for the first transition that leads nowhere."""
    for index, transition in enumerate(transitions):
        if not transition.goto:
            raise StepProblem(f"transition {index}: transition goto is required", key="transitions")


def _transition(index: int, entry: Fields) -> Transition:
    when, goto = entry.text("when"), entry.text("goto")
    return Transition(when=_condition(index, when) if when else None, goto=goto)


def _condition(index: int, when: str) -> Expression:
    refusal = check_when(when)
    if refusal is not None:
        raise StepProblem(f"transition {index} expression '{when}': {refusal}", key="transitions")
    # What passes the check and still does not compile fails where it is evaluated, as in the original.
    return compile_late(when)


_BACKOFFS = ("constant", "linear", "exponential")
_DEFAULT_MULTIPLIER = 2.0


def read_retry(fields: Fields) -> RetryRule | None:
    """The rule as written, None without `retry:`. Raises StepProblem for a delay that is no duration.

    Its ranges are checked later, by `check_retry`, after everything that could be misspelled has been read.
    """
    retry = fields.nested("retry", "repository.yamlRetry")
    if retry is None:
        return None
    multiplier = retry.number("multiplier")
    return RetryRule(
        max_attempts=retry.integer("max_attempts") or 0,
        backoff=retry.text("backoff") or "constant",
        initial_delay_ms=_delay_ms(retry, "initial_delay"),
        max_delay_ms=_delay_ms(retry, "max_delay"),
        multiplier=_DEFAULT_MULTIPLIER if multiplier is None else multiplier,
        jitter=retry.number("jitter") or 0.0,
        retryable_exit_codes=frozenset(retry.list_of_integers("retryable_exit_codes")),
    )


def check_retry(rule: RetryRule) -> None:
    """Raises StepProblem for a number out of range or an unknown backoff."""
    if rule.max_attempts < 1:
        raise _refused("max_attempts must be >= 1")
    if rule.backoff not in _BACKOFFS:
        raise _refused("invalid backoff strategy", hint=f"'{rule.backoff}' is none of {', '.join(_BACKOFFS)}.")
    # Written so that NaN is refused too.
    if not 0.0 <= rule.jitter <= 1.0:
        raise _refused("jitter must be between 0.0 and 1.0")
    if not rule.multiplier >= 0:
        raise _refused("multiplier must be >= 0")


def _refused(text: str, *, hint: str | None = None) -> StepProblem:
    return StepProblem(f"retry config: {text}", key="retry", hint=hint)


def _delay_ms(retry: Fields, key: str) -> int:
    text = retry.text(key)
    if not text:
        return 0
    try:
        return max(0, whole_milliseconds(parse_duration_ns(text)))
    except ValueError as error:
        raise StepProblem(f"{key}: parsing duration {quoted(text)}: {error}", key="retry") from error
