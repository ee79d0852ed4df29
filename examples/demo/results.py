"""Print a line for each result that `awf queue browse QUEUE --format json` shows."""

import json
import sys

for item in json.load(sys.stdin):
    result = json.loads(item["body"])
    print("{message_id}: {status} at attempt {attempt}, output {output!r}".format(**result))
