"""The last good version of each workflow, for the time in which its file can't be loaded (`mq.reload: last_good`).

Stands between the worker and the catalogue, and answers as the catalogue does. Reads no file itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from awf_core.errors import AwfError
from awf_core.lang.names import InvalidWorkflowName
from awf_core.observe import events
from awf_core.observe.log import get_logger
from awf_core.result import first_line

if TYPE_CHECKING:
    from awf_core.lang.catalogue import Catalogue
    from awf_core.lang.model import Workflow
    from awf_core.observe.throttle import Throttle

MAX_ENTRIES = 512

log = get_logger(__name__)


class LastGood:
    """Workflows by name. Thread-safe. The oldest of more than MAX_ENTRIES are forgotten."""

    def __init__(self, catalogue: Catalogue, throttle: Throttle) -> None:
        self._catalogue = catalogue
        self._throttle = throttle
        self._loaded: dict[str, Workflow] = {}
        self._lock = threading.Lock()

    def get(self, name: str, *, allow_paths: bool = False) -> Workflow:
        """The workflow called `name`: as its file is now, or as it was when it could be loaded last.

        Raises as the catalogue does where it never could be loaded.
        """
        try:
            workflow = self._catalogue.get(name, allow_paths=allow_paths)
        except InvalidWorkflowName:
            raise
        except AwfError as exc:
            last = self._loaded.get(name)
            if last is None:
                raise
            self._log(name, exc)
            return last
        if self._loaded.get(name) is not workflow:
            self._remember(name, workflow)
        return workflow

    def _remember(self, name: str, workflow: Workflow) -> None:
        with self._lock:
            while len(self._loaded) >= MAX_ENTRIES and name not in self._loaded:
                del self._loaded[next(iter(self._loaded))]
            self._loaded[name] = workflow

    def _log(self, name: str, error: AwfError) -> None:
        muted = self._throttle.take(("last good", name))
        if muted is not None:
            log.warning(events.WORKFLOW_LAST_GOOD, workflow=name, error=first_line(error.message), muted=muted)
