"""The embedded queue, `mq.type: sqlite`: one file, for any number of threads and processes of one host.

Start with `backend.py`. `schema.py` is the file format, which any SQLite client may read and add messages to.
"""
