"""What the embedded queue refuses: every error names the file, the cause and the remedy."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from awf_core.backends.sqlite import failures, opening, schema
from awf_core.backends.sqlite.backend import SqliteSettings, queue_file
from awf_core.contract import Ack, Outgoing
from awf_core.errors import (
    BodyTooLarge,
    BrokerBlocked,
    BrokerError,
    BrokerMisconfigured,
    BrokerUnavailable,
    QueueMissing,
)

MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:40 / /mnt/team rw,relatime shared:7 master:1 - nfs4 server:/team rw,vers=4.2
31 30 0:41 / /mnt/team/local rw - xfs /dev/vdb rw
32 27 0:42 / /mnt/my\040share rw - cifs //server/share rw
33 27 0:43 / /over rw - nfs server:/x rw
34 33 0:44 / /over rw - tmpfs tmpfs rw
""".lstrip()


@contextmanager
def refused(kind: type[BrokerError], *texts: str):
    """The block raises `kind`; its text and hint contain `texts`."""
    with pytest.raises(kind) as caught:
        yield
    said = f"{caught.value}\n{caught.value.hint}"
    assert caught.value.hint
    for text in texts:
        assert text in said


def file_with(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path


def test_the_database_of_another_program_is_refused_and_left_as_it_is(make_backend, tmp_path):
    path = file_with(tmp_path / "queue.db", "CREATE TABLE invoice(x)")
    before = path.read_bytes()

    with refused(
        BrokerMisconfigured, f"{path}: is an SQLite file of something else", "tables: invoice", "mq.sqlite.path"
    ):
        make_backend()

    assert path.read_bytes() == before


def test_a_database_with_another_application_id_is_refused(make_backend, tmp_path):
    file_with(tmp_path / "queue.db", "PRAGMA application_id = 7")

    with refused(BrokerMisconfigured, "application id 0x7, tables: none"):
        make_backend()


def test_a_file_that_is_no_database_is_refused(make_backend, tmp_path):
    path = tmp_path / "queue.db"
    path.write_bytes(b"certainly no database " * 100)

    with refused(BrokerMisconfigured, str(path), "not a database", "mq.sqlite.path"):
        make_backend()


def test_a_newer_schema_is_refused(make_backend, tmp_path, backend):
    backend.awf_mq_close()
    file_with(backend.path, "PRAGMA user_version = 99")

    with refused(BrokerMisconfigured, "schema version 99; this one knows 3", "upgrade awf-core"):
        make_backend()


def test_an_empty_file_is_taken_as_a_new_queue(make_backend, tmp_path):
    (tmp_path / "queue.db").touch()

    backend = make_backend()

    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]


def test_a_directory_in_place_of_the_file_is_refused(make_backend, tmp_path):
    (tmp_path / "queue.db").mkdir()

    with refused(BrokerMisconfigured, str(tmp_path / "queue.db"), "not allowed to open the queue"):
        make_backend()


def test_a_file_in_place_of_the_directory_is_refused(make_backend, tmp_path):
    (tmp_path / "a").touch()

    with refused(BrokerMisconfigured, str(tmp_path / "a/b/queue.db")):
        make_backend(path="a/b/queue.db")


def test_the_file_and_its_directories_are_created_where_declaring_is_allowed(make_backend, tmp_path):
    backend = make_backend(path="deep/down/queue.db")

    backend.awf_mq_ensure("work", "work", "dead")

    assert (tmp_path / "deep/down/queue.db").exists()


@pytest.mark.parametrize("declare", ["passive", "never"])
def test_a_missing_file_is_not_created_where_declaring_is_forbidden(make_backend, tmp_path, declare):
    with refused(QueueMissing, str(tmp_path / "queue.db"), "mq.declare forbids creating one", "awf queue ensure"):
        make_backend(context={"declare": declare})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("declare", ["passive", "never"])
def test_an_existing_file_has_every_queue_where_declaring_is_forbidden(make_backend, backend, declare):
    other = make_backend(context={"declare": declare})

    other.awf_mq_ensure("any queue", "reply", None)

    assert other.awf_mq_publish([Outgoing(queue="any queue", body=b"x")]) == [None]


def test_ensure_reports_a_file_that_was_deleted(make_backend, backend):
    other = make_backend(context={"declare": "never"})
    backend.awf_mq_close()
    backend.path.unlink()

    with refused(QueueMissing, str(backend.path)):
        other.awf_mq_ensure("work", "work", None)


def test_ensure_refuses_a_name_no_queue_can_have(mq):
    with refused(BrokerError, "can't be the name of a queue"):
        mq.ensure("a\0b", "work")


def test_calls_before_open_and_after_close_say_so(make_backend):
    backend = make_backend(is_open=False)
    backend.awf_mq_close()

    with refused(BrokerUnavailable, f"{backend.path}: the queue is not open"):
        backend.awf_mq_publish([Outgoing(queue="work", body=b"x")])

    backend.awf_mq_open()
    backend.awf_mq_open()
    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]
    backend.awf_mq_close()
    backend.awf_mq_close()
    with refused(BrokerUnavailable, "not open"):
        backend.awf_mq_stats("work")
    assert backend.awf_mq_consume("work", 1, 10) == []


@pytest.mark.parametrize(
    ("path", "point", "kind"),
    [
        ("/mnt/team/.awf/queue.db", "/mnt/team", "nfs4"),
        ("/mnt/my share/queue.db", "/mnt/my share", "cifs"),
    ],
)
def test_a_network_file_system_is_refused(path, point, kind):
    with refused(
        BrokerMisconfigured, f"{path}: lies on {point}, a network file system ({kind})", "mq.sqlite.path", "redis"
    ):
        opening.check_mounts(Path(path), MOUNTS)


@pytest.mark.parametrize("path", ["/mnt/team/local/queue.db", "/mnt/teamwork/queue.db", "/over/queue.db", "/queue.db"])
def test_a_local_file_system_is_accepted_also_below_and_above_network_ones(path):
    opening.check_mounts(Path(path), MOUNTS)


def test_a_mount_table_that_cannot_be_read_refuses_nothing():
    assert opening.mount_of(Path("/x"), "garbage\n1 2 - \n - ext4") == ("", "")


def test_an_old_sqlite_library_is_refused():
    with refused(BrokerMisconfigured, "SQLite library is 3.34.1", "needs 3.38.0 or newer", "another mq.type"):
        schema.refuse_old_sqlite((3, 34, 1))

    schema.refuse_old_sqlite((3, 38, 0))


def test_a_file_locked_longer_than_the_busy_timeout_is_unavailable(make_backend, external, backend):
    impatient = make_backend(busy_timeout="50ms")
    external.execute("BEGIN IMMEDIATE")

    with refused(BrokerUnavailable, str(backend.path), "can't publish", "locked, for 50ms", "fuser", "busy_timeout"):
        impatient.awf_mq_publish([Outgoing(queue="work", body=b"x")])

    external.execute("ROLLBACK")
    assert impatient.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]


def test_a_writer_waits_for_a_locked_file_and_readers_do_not(backend, external):
    external.execute("BEGIN IMMEDIATE")
    external.execute("INSERT INTO message(queue, body) VALUES ('work', 'first')")
    answers = []
    thread = threading.Thread(
        target=lambda: answers.extend(backend.awf_mq_publish([Outgoing(queue="work", body=b"second")]))
    )
    thread.start()

    before = backend.awf_mq_stats("work").ready
    external.execute("COMMIT")
    thread.join(10)

    assert (before, answers) == (0, [None])
    assert [delivery.body for delivery in backend.awf_mq_consume("work", 10, 0)] == [b"first", b"second"]


@contextmanager
def as_unprivileged_user():
    """Without root's right to write any file."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_without_write_permission_is_an_error_that_says_so(make_backend, backend, tmp_path):
    backend.awf_mq_close()
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == os.getuid() and directory != Path("/"):
            directory.chmod(0o755)
    tmp_path.chmod(0o555)
    backend.path.chmod(0o444)

    try:
        with (
            as_unprivileged_user(),
            refused(BrokerMisconfigured, str(backend.path), "not allowed to open", "must be able to write"),
        ):
            make_backend()
    finally:
        tmp_path.chmod(0o755)


@contextmanager
def a_small_disk(path: Path):
    path.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], capture_output=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"can't mount a small disk: {mount.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_blocks_until_there_is_room_again(make_backend, tmp_path):
    with a_small_disk(tmp_path / "disk"):
        backend = make_backend(path="disk/queue.db")
        backend.awf_mq_publish([Outgoing(queue="work", body=b"small")])
        ballast = tmp_path / "disk/ballast"
        ballast.write_bytes(b"x" * 600_000)

        with refused(BrokerBlocked, str(backend.path), "no room to publish", "free space"):
            for _ in range(20):
                backend.awf_mq_publish([Outgoing(queue="work", body=b"x" * 50_000)])
        ballast.unlink()

        (delivery,) = backend.awf_mq_consume("work", 1, 0)
        assert backend.awf_mq_ack([Ack(delivery=delivery)]) == [None]
        assert backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]
        backend.awf_mq_close()


def test_a_disk_error_blocks_and_later_calls_work(backend):
    (_, hard), limit = resource.getrlimit(resource.RLIMIT_FSIZE), backend.path.stat().st_size + 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))

    try:
        with refused(BrokerBlocked, str(backend.path), "the disk failed to publish", "SQLITE_IOERR_WRITE", "dmesg"):
            backend.awf_mq_publish([Outgoing(queue="work", body=b"x" * 1_000_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    assert backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]) == [None]
    assert backend.awf_mq_stats("work").ready == 1


def raised_by_sqlite(code: int | None) -> sqlite3.Error:
    error = sqlite3.OperationalError("text of SQLite")
    if code is not None:
        error.sqlite_errorcode = code
        error.sqlite_errorname = "SQLITE_SOMETHING"
    return error


CODES = {
    sqlite3.SQLITE_BUSY: BrokerUnavailable,
    sqlite3.SQLITE_BUSY_SNAPSHOT: BrokerUnavailable,
    sqlite3.SQLITE_LOCKED: BrokerUnavailable,
    sqlite3.SQLITE_PROTOCOL: BrokerUnavailable,
    sqlite3.SQLITE_FULL: BrokerBlocked,
    sqlite3.SQLITE_IOERR: BrokerBlocked,
    sqlite3.SQLITE_IOERR_WRITE: BrokerBlocked,
    sqlite3.SQLITE_READONLY: BrokerMisconfigured,
    sqlite3.SQLITE_CANTOPEN: BrokerMisconfigured,
    sqlite3.SQLITE_PERM: BrokerMisconfigured,
    sqlite3.SQLITE_CORRUPT: BrokerMisconfigured,
    sqlite3.SQLITE_NOTADB: BrokerMisconfigured,
    sqlite3.SQLITE_TOOBIG: BodyTooLarge,
    sqlite3.SQLITE_CONSTRAINT: BrokerMisconfigured,
    sqlite3.SQLITE_ERROR: BrokerMisconfigured,
    None: BrokerMisconfigured,
}


@pytest.mark.parametrize("code", CODES, ids=str)
def test_every_error_of_sqlite_becomes_an_error_of_the_contract(code):
    error = failures.broker_error(
        raised_by_sqlite(code), path=Path("/q/queue.db"), doing="publish", busy_timeout_s=5, committing=False
    )

    assert type(error) is CODES[code]
    assert str(error).startswith("/q/queue.db: ")
    assert "publish" in str(error)
    assert error.hint


@pytest.mark.parametrize(
    ("committing", "code"), [(False, sqlite3.SQLITE_IOERR_FSYNC), (True, sqlite3.SQLITE_IOERR_WRITE)]
)
def test_an_error_before_the_commit_record_is_written_is_not_in_doubt(committing, code):
    error = failures.broker_error(
        raised_by_sqlite(code), path=Path("/q"), doing="publish", busy_timeout_s=5, committing=committing
    )

    assert isinstance(error, BrokerBlocked)


def test_a_commit_that_the_disk_did_not_confirm_is_in_doubt():
    error = failures.broker_error(
        raised_by_sqlite(sqlite3.SQLITE_IOERR_FSYNC),
        path=Path("/q"),
        doing="publish",
        busy_timeout_s=5,
        committing=True,
    )

    assert isinstance(error, BrokerUnavailable)
    assert error.in_doubt
    assert "/q: the disk failed to publish: text of SQLite (SQLITE_SOMETHING)" in str(error)


@pytest.mark.parametrize(
    "call",
    [
        lambda backend: backend.awf_mq_publish([Outgoing(queue="work", body=b"x")]),
        lambda backend: backend.awf_mq_consume("work", 1, 0),
        lambda backend: backend.awf_mq_stats("work"),
        lambda backend: backend.awf_mq_browse("work", 1, None),
        lambda backend: backend.awf_mq_move("work", "other", None, None),
        lambda backend: backend.awf_mq_purge("work"),
        lambda backend: backend.awf_mq_state_get(["k"]),
        lambda backend: backend.awf_mq_state_list(""),
    ],
    ids=["publish", "consume", "stats", "browse", "move", "purge", "state_get", "state_list"],
)
def test_an_error_of_sqlite_does_not_leave_the_backend_and_no_transaction_stays_open(backend, external, call):
    external.execute("DROP TABLE message")
    external.execute("DROP TABLE state")

    with refused(BrokerMisconfigured, f"{backend.path}: can't ", "no such table", "schema changed by hand"):
        call(backend)

    external.execute("BEGIN IMMEDIATE")


def test_a_damaged_file_is_refused_with_the_command_to_recover_it(make_backend, backend):
    backend.awf_mq_publish([Outgoing(queue="work", body=b"x" * 3000)] * 50)
    backend.awf_mq_close()
    content = bytearray(backend.path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    backend.path.write_bytes(content)

    with refused(BrokerMisconfigured, str(backend.path), ".recover"):
        make_backend().awf_mq_consume("work", 1, 0)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, "/project/.awf/queue.db"),
        ({"path": "other.db"}, "/project/.awf/other.db"),
        ({"path": "/var/lib/q.db"}, "/var/lib/q.db"),
        ({"url": "sqlite:///var/lib/my%20q.db"}, "/var/lib/my q.db"),
        ({"url": "sqlite:////var/lib/q.db"}, "/var/lib/q.db"),
    ],
)
def test_the_queue_file_is_found_from_path_or_url(settings, path):
    assert str(queue_file(SqliteSettings(**settings), "/project/.awf")) == path


def test_a_tilde_is_the_home_directory(clean_environment):
    assert queue_file(SqliteSettings(path="~/q.db"), "/project") == clean_environment / "q.db"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"url": "sqlite://host/q.db"}, "is not a URL such as sqlite:///var/lib/awf/queue.db"),
        ({"url": "redis://host"}, "is not a URL such as sqlite:///"),
        ({"url": "sqlite:///"}, "is not a URL such as sqlite:///"),
        ({"url": "sqlite:///a.db", "path": "a.db"}, "give path or url, not both"),
        ({"path": ":memory:"}, "can't be shared between connections; name a file"),
        ({"path": ""}, "at least 1 character"),
        ({"lease": "100ms"}, "greater than or equal to 0.2"),
        ({"lease": "soon"}, "'soon' is not a duration"),
        ({"synchronous": "off"}, "'full' or 'normal'"),
        ({"leese": "1m"}, "Extra inputs are not permitted"),
    ],
)
def test_invalid_settings_are_refused_with_what_is_allowed(settings, text):
    with pytest.raises(ValidationError, match=r".") as caught:
        SqliteSettings.model_validate(settings)

    assert text in str(caught.value)


def test_durations_have_units(make_backend):
    backend = make_backend(lease="1m30s", busy_timeout="250ms", is_open=False)

    assert backend.capabilities.lease_s == 90
    assert backend.settings.busy_timeout_s == 0.25
