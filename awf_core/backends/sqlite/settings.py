"""Settings of the embedded queue (`mq.sqlite:`) and the file they lead to.

Filled by the core from file, flags and environment. Pure: no I/O, nothing is created here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from awf_core.units import DurationS

DEFAULT_FILE = "queue.db"
_URL_ALLOWED = "a URL such as sqlite:///var/lib/awf/queue.db (an absolute path after three slashes)"


class SqliteSettings(BaseModel):
    """What `mq.sqlite` takes.

    path            the queue file; relative to the configuration's directory, `~` is the home directory
    url             the same as `sqlite:///absolute/path`; give one of the two
    queue           the queue a worker consumes and a client submits to
    lease_s         `lease`: how long a message stays with a worker that is not heard of; at least 0.2 s
    synchronous     `full` survives a power cut, `normal` may lose the last writes in one; both survive a kill
    busy_timeout_s  `busy_timeout`: how long to wait for another process's write before giving up
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    path: str | None = Field(default=None, min_length=1)
    url: str | None = Field(default=None, min_length=1)
    queue: str = Field(default="awf-workflows", min_length=1)
    lease_s: DurationS = Field(default=60.0, alias="lease", ge=0.2)
    synchronous: Literal["full", "normal"] = "full"
    busy_timeout_s: DurationS = Field(default=5.0, alias="busy_timeout", ge=0.01)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.path is not None and self.url is not None:
            raise ValueError(f"give path or url, not both (path {self.path!r}, url {self.url!r})")
        if self.path is not None and self.path.startswith(":memory:"):
            raise ValueError("path ':memory:' can't be shared between connections; name a file")
        if self.url is not None:
            _url_path(self.url)
        return self


def queue_file(settings: SqliteSettings, directory: str) -> Path:
    """The absolute path of the queue file; `directory` is where relative paths start."""
    if settings.url is not None:
        return Path(_url_path(settings.url))
    path = Path(settings.path if settings.path is not None else DEFAULT_FILE).expanduser()
    return (Path(directory) / path).absolute()


def _url_path(url: str) -> str:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment or not path.strip("/"):
        raise ValueError(f"{url!r} is not {_URL_ALLOWED}")
    # SQLAlchemy writes four slashes for the same thing.
    return "/" + path.lstrip("/")
