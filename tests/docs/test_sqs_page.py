"""The commands of the page on SQS, run by the AWS command line and `awf` against a private SQS endpoint (moto)."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from docs_pages import ROOT, read_page

from awf_core.testing.brokers import PrivateMoto, moto_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docs_console import Scratch

PAGE = "docs/how-to/sqs.md"
README = ROOT / "plugins/awf-mq-sqs/README.md"
HELLO = """
name: hello
inputs: [{name: name, type: string, required: true}]
states:
  initial: say
  say: {type: step, command: 'echo Hello, {{.inputs.name}}!', on_success: done, on_failure: failed}
  done: {type: terminal}
  failed: {type: terminal, status: failure}
"""
RESULTS_OF_THE_FIFO_QUEUE = """
aws sqs receive-message --queue-url "$results_url" --max-number-of-messages 10 --wait-time-seconds 1 > fifo.json
"""

needs_moto = pytest.mark.skipif(
    moto_program() is None and not os.environ.get("CI"),
    reason="moto_server is not installed: pip install 'moto[server]'",
)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateMoto]:
    with PrivateMoto(tmp_path_factory.mktemp("moto")) as started:
        yield started


@needs_moto
def test_queues_made_by_the_aws_command_line_are_worked_on_and_results_read_by_it(
    scratch: Scratch, server: PrivateMoto
) -> None:
    """Only `aws` gets the option of the endpoint: the worker takes it from AWF_MQ_SQS_QUEUE_URL."""
    folder = scratch.directory / ".awf/workflows"
    folder.mkdir(parents=True)
    (folder / "hello.yaml").write_text(HELLO)
    scratch.env = {name: value for name, value in scratch.env.items() if not name.startswith(("AWS_", "AWF_"))}
    login = {"AWS_ACCESS_KEY_ID": "docs", "AWS_SECRET_ACCESS_KEY": "docs", "AWS_DEFAULT_REGION": "us-east-1"}
    scratch.env |= login | {"HOME": str(scratch.directory), "AWS_PAGER": ""}
    blocks = [block.text for block in read_page(PAGE).blocks if block.options == "aws"]
    assert len(blocks) == 4, "set-up, worker, send and read, FIFO"
    only_aws = f'aws() {{ command aws --endpoint-url {server.url} "$@"; }}\n'

    script = only_aws + "\n".join(blocks) + RESULTS_OF_THE_FIFO_QUEUE
    # `aws` takes a second for each call on a busy machine.
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=scratch.directory,
        env=scratch.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )

    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    answered = {each["message_id"]: each for each in results(scratch.directory / "results.json", printed)}
    assert {name: (each["status"], each["output"].strip()) for name, each in answered.items()} == {
        "m1": ("completed", "Hello, Ada!"),
        "m2": ("completed", "Hello, Bob!"),
    }
    fifo = [each for each in results(scratch.directory / "fifo.json", printed) if each["message_id"] not in answered]
    assert {each["output"].strip() for each in fifo} == {"Hello, o1!", "Hello, o2!"}


def results(path: Path, printed: str) -> list[dict[str, Any]]:
    text = path.read_text()
    assert text.strip(), printed
    return [json.loads(message["Body"]) for message in json.loads(text)["Messages"]]


def test_the_policies_of_the_page_are_those_of_the_readme() -> None:
    """The backend's own tests compare the readme's with the requests made."""
    blocks = re.findall(r"```json\n(.*?)```", README.read_text(), re.DOTALL)
    written = [json.loads(block)["Statement"] for block in blocks if '"Statement"' in block]
    producer, worker = written[0][0]["Action"], written[1][0]["Action"]
    (terraform,) = [block.text for block in read_page(PAGE).blocks if block.language == "hcl"]

    found = {
        name: re.findall(r'"(sqs:\w+)"', text)
        for name, text in re.findall(r'"aws_iam_policy_document" "(\w+)" \{(.*?)\n\}', terraform, re.DOTALL)
    }

    assert found == {"worker": worker, "producer": producer}
