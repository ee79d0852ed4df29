#!/bin/sh
# The main job on the embedded queue: submit messages, run a worker until the queue is dry, look at what came of each.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$here/../../.demo
rm -rf "$work" && mkdir -p "$work/.awf" && cp -R "$here/workflows" "$here/config.yaml" "$work/.awf/"
cd "$work"
unset AWF_CONFIG_PATH AWF_WORKFLOWS_PATH AWF_MQ_TYPE || true

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

say "1. Three messages: a good one, one that fails at first, and one that is no message at all"
run awf submit hello --id good --input name=Ada --reply-to results-queue
run awf submit flaky --id second-try --reply-to results-queue
printf '$ %s\n' "python -c 'INSERT INTO message(queue, body) VALUES (…, …)'   # any SQLite client is a producer"
python3 - <<'PY'
import sqlite3
with sqlite3.connect(".awf/queue.db") as db:
    db.execute("INSERT INTO message(queue, body) VALUES (?, ?)", ("awf-workflows", '{"workflow": "hello", oops'))
PY

say "2. A worker, until the queue is dry (exit code 3: something was dead-lettered)"
code=0
run awf worker --concurrency=5 --burst --log-format text || code=$?
echo "exit code $code"

say "3. The results"
echo '$ awf queue browse results-queue --format json'
awf queue browse results-queue --format json | python3 -c '
import json, sys
for item in json.load(sys.stdin):
    result = json.loads(item["body"])
    print("  {message_id}: {status} at attempt {attempt}, output {output!r}".format(**result))'

say "4. The dead letter, with the reason"
run awf dlq list
