"""A producer that knows nothing of AWF: one INSERT, from any SQLite client. Usage: insert.py QUEUE BODY"""

import sqlite3
import sys

queue, body = sys.argv[1:]
with sqlite3.connect(".awf/queue.db") as db:
    db.execute("INSERT INTO message(queue, body) VALUES (?, ?)", (queue, body))
