"""Amazon SQS as the message queue of AWF workers: `mq.type: sqs`.

Entry point: `backend.py`. `client.py` is the only module that sends requests.
"""
