"""Settings of the RabbitMQ backend (`mq.rabbitmq:`). Filled by the core from file, flags and environment.

Pure: nothing is connected or opened here.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from awf_core.units import DurationS
from awf_mq_rabbitmq.address import parse_url

DELAYS_S = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 10800.0, 21600.0, 43200.0, 86400.0)
"""A delay is rounded up to one of these: each is a queue of its own, made when it is first needed."""


class RabbitMqSettings(BaseModel):
    """What `mq.rabbitmq` takes.

    url                   `amqp://user:password@host:5672/vhost` or `amqps://…` (TLS); several hosts with commas
    queue                 the queue a worker consumes and a client submits to
    username, password    instead of those in the url; guest/guest without either
    queue_type            of queues we declare: `quorum` (replicated, counts deliveries) or `classic`
    existing_queues       `accept` what is there as it is, or `compare` it with what we would declare and refuse others
    delivery_limit        of work queues we declare: after so many deliveries the broker itself buries a message
    delays                the delays there are queues for; a retry's delay is rounded up to one of them
    heartbeat_s           `heartbeat`: silence of this length (and a little more) ends a connection; 1 s to 10 min
    consumer_timeout_s    `consumer_timeout`: how long the broker lets us hold one message; runs end before it
    ack                   when a message is acknowledged: `on_settle`, when it is done, or `on_accept`, before it runs,
                          so that no timeout of the broker's meets a run; the journal has it meanwhile
    journal               a directory for messages accepted and not done; it has to outlive the worker
    connect_timeout_s     `connect_timeout`: for a connection to be made
    publish_timeout_s     `publish_timeout`: for the broker to accept what is published
    max_body_bytes        largest body; the broker's own max_message_size has to allow it
    connection_name       as `rabbitmqctl list_connections` shows it; the worker's name by default
    private_replies       where `submit --wait` gets its answer: a `queue` that expires, the broker's `direct`
                          reply-to (needs no right to declare), or `auto`: queue where declaring is allowed
    tls_ca_file           who is trusted to have signed the broker's certificate, instead of the system's authorities
    tls_cert_file, tls_key_file   our own certificate, where the broker asks for one
    tls_check_hostname    whether the certificate has to be for the host that was connected to
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    url: str = Field(default="amqp://guest:guest@localhost:5672/", min_length=1, repr=False)
    queue: str = Field(default="awf-workflows", min_length=1)
    username: str | None = Field(default=None, min_length=1)
    password: str | None = Field(default=None, min_length=1, repr=False)
    queue_type: Literal["quorum", "classic"] = "quorum"
    existing_queues: Literal["accept", "compare"] = "accept"
    delivery_limit: int = Field(default=1000, ge=20, le=1_000_000)
    delays_s: tuple[Annotated[DurationS, Field(ge=0.1, le=864_000)], ...] = Field(
        default=DELAYS_S, alias="delays", min_length=1, max_length=50
    )
    heartbeat_s: DurationS = Field(default=30.0, alias="heartbeat", ge=1, le=600)
    consumer_timeout_s: DurationS = Field(default=86_400.0, alias="consumer_timeout", ge=5, le=2_000_000)
    ack: Literal["on_settle", "on_accept"] = "on_settle"
    journal: str = Field(default="rabbitmq-journal", min_length=1)
    connect_timeout_s: DurationS = Field(default=5.0, alias="connect_timeout", ge=0.1, le=120)
    publish_timeout_s: DurationS = Field(default=15.0, alias="publish_timeout", ge=0.5, le=600)
    max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024, le=512 * 1024 * 1024)
    connection_name: str | None = Field(default=None, min_length=1, max_length=200)
    private_replies: Literal["auto", "queue", "direct"] = "auto"
    tls_ca_file: str | None = Field(default=None, min_length=1)
    tls_cert_file: str | None = Field(default=None, min_length=1)
    tls_key_file: str | None = Field(default=None, min_length=1)
    tls_check_hostname: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        address = parse_url(self.url)
        if any((self.tls_ca_file, self.tls_cert_file, self.tls_key_file)) and not address.tls:
            raise ValueError("tls_… files are given, and the url has no TLS: write amqps://")
        if self.tls_key_file is not None and self.tls_cert_file is None:
            raise ValueError("tls_key_file needs tls_cert_file beside it")
        if list(self.delays_s) != sorted(set(self.delays_s)):
            raise ValueError("delays have to grow from one to the next")
        return self
