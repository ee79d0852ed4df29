"""Settings of the Redis backend (`mq.redis:`). Filled by the core from file, flags and environment.

Pure: nothing is connected or opened here.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from awf_core.units import DurationS
from awf_mq_redis.address import SENTINEL_PORT, parse_nodes, parse_url


class SentinelSettings(BaseModel):
    """`mq.redis.sentinel`: the sentinels that name the current master.

    service             the name the sentinels know the master by
    nodes               `host:port` of the sentinels; 26379 where there is no port
    username, password  of the sentinels themselves, where they need a login
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str = Field(min_length=1)
    nodes: list[str] = Field(min_length=1)
    username: str | None = Field(default=None, min_length=1)
    password: str | None = Field(default=None, min_length=1, repr=False)

    @model_validator(mode="after")
    def _nodes_are_readable(self) -> Self:
        parse_nodes(",".join(self.nodes), SENTINEL_PORT)
        return self


class RedisSettings(BaseModel):
    """`mq.redis`: the settings of this backend.

    url                   `redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://`; several hosts with `cluster`
    queue                 the queue a worker consumes and a client submits to
    key_prefix            put before the name of every key, queues included
    username, password    instead of those in the url
    lease_s               `lease`: how long a message stays with a worker that doesn't renew it; 0.2 s or more
    block_s               `block`: the longest wait inside the server; 0.05 s to 5 s
    connect_timeout_s     `connect_timeout`: for a connection to be made
    socket_timeout_s      `socket_timeout`: for the server to answer a command
    max_connections       of one process, at most
    tls_ca_file           the authorities that may sign the server's certificate, instead of the system's
    tls_cert_file, tls_key_file   our own certificate, where the server asks for one
    tls_check_hostname    whether the certificate has to be for the host that was connected to
    sentinel              the sentinels to ask, as `redis+sentinel://` does
    cluster               the url names nodes of a Redis Cluster
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    url: str = Field(default="redis://localhost:6379/0", min_length=1, repr=False)
    queue: str = Field(default="awf-workflows", min_length=1)
    key_prefix: str = Field(default="", max_length=100)
    username: str | None = Field(default=None, min_length=1)
    password: str | None = Field(default=None, min_length=1, repr=False)
    lease_s: DurationS = Field(default=60.0, alias="lease", ge=0.2)
    block_s: DurationS = Field(default=2.0, alias="block", ge=0.05, le=5.0)
    connect_timeout_s: DurationS = Field(default=5.0, alias="connect_timeout", ge=0.05)
    socket_timeout_s: DurationS = Field(default=5.0, alias="socket_timeout", ge=0.05)
    max_connections: int = Field(default=64, ge=4)
    tls_ca_file: str | None = Field(default=None, min_length=1)
    tls_cert_file: str | None = Field(default=None, min_length=1)
    tls_key_file: str | None = Field(default=None, min_length=1)
    tls_check_hostname: bool = True
    sentinel: SentinelSettings | None = None
    cluster: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        address = parse_url(self.url)
        if any((self.tls_ca_file, self.tls_cert_file, self.tls_key_file)) and not address.tls:
            raise ValueError("tls_… files are given, and the url has no TLS: write rediss://")
        if self.tls_key_file is not None and self.tls_cert_file is None:
            raise ValueError("tls_key_file needs tls_cert_file beside it")
        if self.sentinel is not None and (address.service is not None or address.path is not None):
            raise ValueError("give sentinel, or a redis+sentinel:// url, not both; and a sentinel has no unix socket")
        if self.cluster and (address.service is not None or self.sentinel is not None or address.path is not None):
            raise ValueError("cluster and sentinel (or a unix socket) exclude each other")
        if self.cluster and address.db:
            raise ValueError(f"a cluster has database 0 only, and the url names {address.db}")
        if len(address.nodes) > 1 and not self.cluster and address.service is None:
            raise ValueError("several hosts in the url: set cluster: true, or use redis+sentinel://")
        return self
