"""`awf init`: create a project with a first workflow, ready for `awf run` and `awf worker`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from awf_core.cli.output import note
from awf_core.cli.queues import connected, dead_letter_queue

CONFIG = """\
# AWF project configuration. `awf config show` prints every value with its origin.
# inputs:            # default inputs of every workflow
#   env: staging

mq:
  concurrency: 5     # workflows that a worker runs at the same time
  retry: {max_attempts: 3, initial_delay: 5s, max_delay: 5m}
  dead_letter: {enabled: true, queue: awf-dlq}
  grace: 25s         # time that running workflows get after TERM
"""

HELLO = """\
name: hello
description: Print a greeting.
inputs:
  - name: name
    type: string
    default: world
states:
  initial: greet
  greet:
    type: step
    command: echo Hello, {{escape .inputs.name}}!
    on_success: done
    on_failure: {message: "could not greet: {{.states.greet.Stderr}}"}
  done:
    type: terminal
outputs:
  - {name: greeting, from: states.greet.Output}
"""


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=".")
def init_command(*, directory: Path) -> None:
    """Create a project in DIRECTORY: .awf/config.yaml, a first workflow, the queue. Existing files are kept."""
    awf = directory / ".awf"
    config_file = awf / "config.yaml"
    _write(config_file, CONFIG)
    _write(awf / "workflows" / "hello.yaml", HELLO)
    with connected(str(config_file), None) as (config, assembly):
        dead = dead_letter_queue(config)
        for queue in assembly.queues:
            assembly.mq.ensure(queue, "work", dead_letter=dead)
        note(f"queue: {assembly.queues[0]} ({assembly.backend_name})")
    note("next: awf run hello --input name=Ada --output streaming")
    note("      awf submit hello --input name=Ada && awf worker --burst")


def _write(path: Path, text: str) -> None:
    if path.exists():
        note(f"kept {path}")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    note(f"wrote {path}")
