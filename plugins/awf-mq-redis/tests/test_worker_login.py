"""`awf worker` processes whose login is refused or whose server has no address: at the start, and later."""

from __future__ import annotations

import json

import redis


def test_a_refused_login_ends_a_starting_worker_at_its_first_try(make_server, make_site):
    server = make_server(append_only=False, password="s3cret")
    site = make_site(server)
    worker = site.worker(server.url.replace("s3cret", "wr0ng"), is_awaited=False)

    code = worker.end()
    with redis.Redis(port=server.port, password="s3cret") as client:
        refused = client.acl_log()

    said = "\n".join(line.get("text", json.dumps(line)) for line in worker.log)
    assert code == 2
    assert "refuses the login" in said
    assert "check user and password" in said
    assert "wr0ng" not in said
    assert [entry["count"] for entry in refused] == [1]


def test_a_name_that_does_not_resolve_is_tried_again_slowly_until_the_timeout(server, make_site):
    site = make_site(server)
    worker = site.worker("redis://broker.invalid:6379", "--connect-timeout", "1.5s", is_awaited=False)

    code = worker.end()

    said = "\n".join(line.get("text", json.dumps(line)) for line in worker.log)
    assert code == 4
    assert "broker.invalid" in said
    assert 1 <= len(worker.lines("broker.unavailable")) <= 3


def test_a_password_that_is_changed_and_changed_back_costs_no_message(make_server, make_site):
    server = make_server(append_only=False)
    site = make_site(server)
    worker = site.worker(server.url)
    site.begin()

    site.client.config_set("requirepass", "s3cret")
    site.client.client_kill_filter(_type="normal", skipme=True)
    site.project.open_gate()
    worker.await_line("run.finished")
    worker.await_line("broker.unavailable")
    site.client.config_set("requirepass", "")

    site.assert_back_soon(worker, count=2)
    assert site.project.runs("kit-slow") == ["m"]
    site.assert_settled()


# Stands in for the system's resolver: the name doesn't resolve while the file is there.
RESOLVER = """
import os, socket
known = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host != "broker.test":
        return known(host, *rest, **more)
    if os.path.exists(os.environ["NO_DNS"]):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return known("127.0.0.1", *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


def test_a_name_that_does_not_resolve_for_a_while_is_resolved_again(server, proxy, make_site, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(RESOLVER)
    site = make_site(server)
    env = {"PYTHONPATH": str(tmp_path), "NO_DNS": str(tmp_path / "no-dns")}
    worker = site.worker(f"redis://broker.test:{proxy.port}", env=env)

    (tmp_path / "no-dns").touch()
    proxy.cut()
    worker.await_line("broker.unavailable", count=2)
    (tmp_path / "no-dns").unlink()

    site.assert_back_soon(worker, count=1)
    assert any("not known" in line["error"] for line in worker.lines("broker.unavailable"))
