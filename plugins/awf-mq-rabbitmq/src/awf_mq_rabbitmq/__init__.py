"""RabbitMQ as a backend of AWF workers: `mq.type: rabbitmq`.

Imported only when it is chosen; everything is behind `backend.Backend`.
"""
