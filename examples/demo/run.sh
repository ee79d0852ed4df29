#!/bin/sh
# The main job on the embedded queue: submit messages, run a worker until the queue is empty, show what happened to each message.
# Works in .demo/ beside examples/, which it empties first.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$here/../../.demo
rm -rf "$work" && mkdir -p "$work/.awf" && cp -R "$here/workflows" "$here/config.yaml" "$work/.awf/"
cp "$here/insert.py" "$here/results.py" "$work/"
cd "$work"
# The user's own settings must not change what the demo shows.
for name in $(env | sed -n 's/^\(AWF_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done

bold='' plain=''
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() { printf '$ %s\n' "$*"; sh -c "$*"; }

say "1. Three messages: a valid one, one that fails at first, and one that is malformed"
run "awf submit hello --id good --input name=Ada --reply-to results-queue"
run "awf submit flaky --id second-try --reply-to results-queue"
run "python3 insert.py awf-workflows '{\"workflow\": \"hello\", oops'"

say "2. A worker, until the queue is empty"
code=0
run "awf worker --concurrency=5 --burst --log-format text" || code=$?
echo "exit code $code (3: a message was dead-lettered)"

say "3. The results"
run "awf queue browse results-queue --format json | python3 results.py"

say "4. The dead-lettered message, with the reason"
run "awf dlq list"
