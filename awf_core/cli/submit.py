"""`awf submit`: submit a message to the queue; with --wait, print the result and exit as `awf run` does."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from awf_core.cli.options import duration_option, format_option, input_options, queue_options
from awf_core.cli.output import note, print_json, print_text
from awf_core.cli.queues import load
from awf_core.cli.run_inputs import parse_pairs, read_inputs_file
from awf_core.errors import UsageError
from awf_core.visible_text import visible_lines

if TYPE_CHECKING:
    from awf_core.client import Client, Submission

FOREVER_S = 10.0 * 365 * 86400
PROGRESS_EVERY_S = 5.0


@click.command(context_settings={"show_default": True})
@queue_options
@click.argument("workflow")
@input_options
@click.option("--queue", "-q", help="Queue to publish to.  [default: mq.<type>.queue, awf-workflows]")
@click.option("--id", "message_id", help="Id of the message.  [default: a generated one]")
@click.option("--reply-to", help="Queue that the result is published to.")
@click.option(
    "--metadata", multiple=True, metavar="KEY=VALUE", help="Value that is returned with the result; repeatable."
)
@click.option("--delay", default="0s", help="Time before the message is delivered.")
@click.option("--wait", is_flag=True, help="Wait for the result, print its output and exit as `awf run` does.")
@click.option("--timeout", help="With --wait: stop waiting after this time, with exit code 124.")
@format_option
def submit_command(
    *,
    workflow: str,
    config_path: str | None,
    mq_type: str | None,
    pairs: tuple[str, ...],
    inputs_file: Path | None,
    queue: str | None,
    message_id: str | None,
    reply_to: str | None,
    metadata: tuple[str, ...],
    delay: str,
    wait: bool,
    timeout: str | None,
    output_format: str,
) -> int:
    """Submit a message that names WORKFLOW to the queue."""
    from awf_core.client import Client

    timeout_s = duration_option("--timeout", timeout) if timeout is not None else FOREVER_S
    from_file = read_inputs_file(inputs_file) if inputs_file is not None else {}
    # A worker does not read `@prompts/x` from its disk for a message, so the producer does not read it either.
    values = {**from_file, **parse_pairs(pairs, prompt_dirs=None)}
    config = load(config_path, mq_type=mq_type)
    with Client(config=config) as client:
        submission = client.submit(
            workflow,
            values,
            queue=queue,
            id=message_id,
            reply_to=reply_to,
            metadata=_metadata(metadata),
            delay_s=duration_option("--delay", delay),
            expect_reply=wait,
        )
        if wait:
            return _wait(client, submission, timeout_s, output_format)
    _print_submission(submission, output_format)
    return 0


def _metadata(pairs: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--metadata {pair!r} is not KEY=VALUE")
        values[key] = value
    return values


def _print_submission(submission: Submission, output_format: str) -> None:
    if output_format == "json":
        print_json({"id": submission.id, "queue": submission.queue, "reply_to": submission.reply_to})
    else:
        print_text(submission.id)
        note(f"submitted to '{submission.queue}'")


def _wait(client: Client, submission: Submission, timeout_s: float, output_format: str) -> int:
    """Note every few seconds that the command still waits, then print the result."""
    from awf_core.errors import WaitTimeout
    from awf_core.units import format_duration

    note(f"submitted {submission.id} to '{submission.queue}', waiting for its result")
    waited_s = 0.0
    while True:
        step_s = min(PROGRESS_EVERY_S, timeout_s - waited_s)
        try:
            result = client.wait(submission, timeout_s=step_s)
        except WaitTimeout as exc:
            waited_s += step_s
            if waited_s >= timeout_s:
                text = f"no result of message '{submission.id}' within {format_duration(timeout_s)}"
                raise WaitTimeout(text, hint=exc.hint) from exc
            note(f"… {waited_s:.0f}s")
        else:
            return _print_result(result, output_format)


def _print_result(result: Mapping[str, Any], output_format: str) -> int:
    if output_format == "json":
        print_json(result)
    elif result.get("output"):
        output = str(result["output"])
        # A program gets the bytes; a terminal would take orders from them.
        sys.stdout.write(visible_lines(output) if sys.stdout.isatty() else output)
        sys.stdout.flush()
    error = result.get("error")
    if error:
        note(f"Error: {error.get('message')}")
    note(f"{result.get('workflow')}: {result.get('status')} after attempt {result.get('attempt')}")
    return int(result.get("exit_code") or 0)
