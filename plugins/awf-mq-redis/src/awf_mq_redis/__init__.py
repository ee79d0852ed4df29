"""Redis and Valkey as the message queue of AWF workers: `mq.type: redis`.

Entry point: `backend.py`. What happens inside the server is in `lua/`, one script a file.
"""
