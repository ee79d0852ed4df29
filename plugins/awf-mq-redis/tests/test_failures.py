"""Every exception of redis-py becomes one of the contract's errors, with a hint."""

from __future__ import annotations

import inspect

import pytest
import redis
import redis.exceptions
import redis.sentinel
from awf_mq_redis.failures import KINDS, broker_error

from awf_core.errors import BrokerBlocked, BrokerMisconfigured, BrokerUnavailable


def raised_by_the_library():
    found = [*vars(redis.exceptions).values(), *vars(redis.sentinel).values()]
    return {kind for kind in found if inspect.isclass(kind) and issubclass(kind, Exception)}


def test_every_exception_of_the_client_library_has_a_kind():
    new = {kind.__name__ for kind in raised_by_the_library()} - set(KINDS)

    assert not new, f"redis-py has exceptions awf_mq_redis.failures does not know: {sorted(new)}"


def made(kind, text="boom"):
    return kind.__new__(kind, text) if kind.__name__ in ("AskError", "MovedError") else kind(text)


@pytest.mark.parametrize("kind", sorted(raised_by_the_library(), key=lambda kind: kind.__name__))
def test_each_becomes_an_error_with_the_address_the_action_and_a_hint(kind):
    error = broker_error(made(kind), where="redis://h", doing="publish to 'q'", in_doubt=True)

    assert str(error).startswith("redis://h: ")
    assert error.hint


CASES = [
    (redis.ResponseError("OOM command not allowed"), BrokerBlocked, "maxmemory"),
    (redis.ResponseError("MISCONF Errors writing to the AOF file"), BrokerBlocked, "can't write to its disk"),
    (redis.ResponseError("NOREPLICAS Not enough good replicas"), BrokerBlocked, "min-replicas"),
    # As Redis 6.2 words what happened inside a script.
    (
        redis.ResponseError("Error running script (call to f_1): @user_script:3: -OOM command not allowed"),
        BrokerBlocked,
        "maxmemory",
    ),
    (
        redis.ResponseError("Error running script (call to f_1): @user_script:3: -READONLY You can't write"),
        BrokerUnavailable,
        "replica now",
    ),
    (
        redis.ResponseError("The user executing the script can't run this command or subcommand"),
        BrokerMisconfigured,
        "ACL line",
    ),
    (redis.ResponseError("UNBLOCKED force unblock from blocking operation"), BrokerUnavailable, "replica now"),
    (redis.ResponseError("WRONGTYPE Operation against a key"), BrokerMisconfigured, "key_prefix"),
    (redis.ResponseError("unknown command 'FOO'"), BrokerMisconfigured, "is it Redis 6.2 or newer"),
    (redis.ResponseError("CROSSSLOT Keys in request don't hash"), BrokerMisconfigured, "cluster: true"),
    (redis.ResponseError("This instance has cluster support disabled"), BrokerMisconfigured, "leave out"),
    (redis.ConnectionError("max number of clients reached"), BrokerUnavailable, "maxclients"),
    (redis.exceptions.MaxConnectionsError("Too many"), BrokerUnavailable, "mq.redis.max_connections"),
    (redis.exceptions.BusyLoadingError("LOADING"), BrokerUnavailable, "check that the server runs"),
    (
        redis.ConnectionError("Error 1 connecting to h: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
        BrokerMisconfigured,
        "tls_ca_file",
    ),
    (
        redis.ConnectionError("Error while reading: [SSL: X] tlsv13 alert certificate required (_ssl.c:2580)"),
        BrokerMisconfigured,
        "tls_cert_file",
    ),
    (redis.ConnectionError("[SSL: WRONG_VERSION_NUMBER] wrong version number"), BrokerMisconfigured, "redis://"),
    (OSError("no route"), BrokerUnavailable, "check that the server runs"),
]


@pytest.mark.parametrize(("error", "kind", "hint"), CASES, ids=range(len(CASES)))
def test_the_servers_error_text_decides_the_kind_and_the_hint(error, kind, hint):
    found = broker_error(error, where="redis://h", doing="publish", in_doubt=True)

    assert type(found) is kind
    assert hint in found.hint


@pytest.mark.parametrize(
    ("error", "in_doubt"),
    [
        (redis.ConnectionError("Connection closed by server."), True),
        (redis.TimeoutError("Timeout reading from socket"), True),
        (redis.exceptions.ReadOnlyError("You can't write against a read only replica."), False),
        (redis.exceptions.BusyLoadingError("loading"), False),
        (redis.exceptions.ClusterDownError("down"), False),
    ],
)
def test_only_an_answer_that_never_came_leaves_an_operation_in_doubt(error, in_doubt):
    sent = broker_error(error, where="w", doing="d", in_doubt=True)
    unsent = broker_error(error, where="w", doing="d", in_doubt=False)

    assert isinstance(sent, BrokerUnavailable)
    assert (sent.in_doubt, unsent.in_doubt) == (in_doubt, False)


def test_no_password_of_a_url_in_an_exception_reaches_the_error():
    error = broker_error(redis.ConnectionError("at redis://u:s3cret@h"), where="w", doing="d", in_doubt=False)

    assert "s3cret" not in str(error)
