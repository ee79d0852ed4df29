"""What may be shown of a value."""

from __future__ import annotations

import pytest

from awf_core.config.secrets import is_secret, masked


@pytest.mark.parametrize(
    "key",
    ["password", "PASSWORD", "db_password", "api_key", "API_KEY_2", "apiKey", "accessToken", "secret_access_key",
     "aws-secret-key", "SECRET_X", "token", "TOKEN_A", "client_secret", "Authorization", "credentials"],
)  # fmt: skip
def test_a_secret_is_known_by_its_key(key):
    assert is_secret(key)


@pytest.mark.parametrize("key", ["url", "tokens_used", "queue", "key", "dedup_key", "message", "secretary_name"])
def test_harmless_keys_stay_visible(key):
    assert not is_secret(key)


def test_secrets_are_masked_at_every_depth():
    value = {"url": "redis://u:pw@h", "tls": {"password": "pw", "hosts": ["amqp://u:pw@h"]}, "n": 5, "token": None}

    assert masked("redis", value) == {
        "url": "redis://u:***@h",
        "tls": {"password": "***", "hosts": ["amqp://u:***@h"]},
        "n": 5,
        "token": None,
    }
