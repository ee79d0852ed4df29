"""The embedded queue, `mq.type: sqlite`: one file, any number of threads and processes of one host.

Entry point: `backend.py`. `schema.py` is the file format, which any SQLite client may read and add messages
to.
"""
