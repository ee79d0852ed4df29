"""The compose file offers what the fixtures ask docker for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from awf_core.testing.pytest_plugin import KINDS

SERVICES = yaml.safe_load((Path(__file__).parents[1] / "docker-compose.yml").read_text())["services"]


@pytest.mark.parametrize("name", KINDS)
def test_every_broker_is_a_service_with_a_port_of_dockers_choice_and_a_health_check(name: str) -> None:
    service = SERVICES[KINDS[name].service]

    assert service["ports"] == [str(KINDS[name].port)]
    assert service["healthcheck"]["test"]
