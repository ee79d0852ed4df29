"""Errors of botocore and of SQS, as the contract's errors. Pure.

The only place that knows their exceptions and codes; none of them leaves this package. A code comes with or without a
prefix (`AWS.SimpleQueueService.NonExistentQueue`), so the last word is compared.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore import exceptions as bx

from awf_core.errors import (
    BodyTooLarge,
    BrokerBlocked,
    BrokerError,
    BrokerMisconfigured,
    BrokerUnavailable,
    LeaseLost,
    QueueMissing,
    Unroutable,
    redact_url,
)

if TYPE_CHECKING:
    from awf_core.contract import Delivery

MISSING = frozenset({"NonExistentQueue", "QueueDoesNotExist"})
EXISTS = frozenset({"QueueAlreadyExists", "QueueNameExists"})
THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "KmsThrottled",
        "ThrottlingExceptionKms",
        "KMS.ThrottlingException",
    }
)
NOT_NOW = frozenset(
    {
        "QueueDeletedRecently",
        "ServiceUnavailable",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "RequestTimeout",
    }
)
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
BAD_LOGIN = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "AuthFailure",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "InvalidSecurity",
    }
)
SIGNATURE = frozenset(
    {"SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed", "IncompleteSignature"}
)
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
TOO_LARGE = frozenset({"BatchRequestTooLong", "MessageTooLong"})
HANDLE = frozenset({"ReceiptHandleIsInvalid", "MessageNotInflight"})

_ACTION = re.compile(r"perform: (?P<action>[a-z0-9]+:[A-Za-z]+)|access to the (?P<operation>[A-Za-z]+) operation")
_SKEW = re.compile(r"Signature (?:expired|not yet current)|too ?skewed", re.IGNORECASE)
_EXPIRED_HANDLE = re.compile(
    r"receipt handle (?:has )?expired|not available for visibility timeout change", re.IGNORECASE
)
_CAP = re.compile(r"Total VisibilityTimeout .*beyond the limit", re.IGNORECASE)
_SIZE = re.compile(r"shorter than (\d+) bytes|exceed(?:s|ed)? .*maximum .*size", re.IGNORECASE)


def last_word(code: str) -> str:
    """The code without its prefix."""
    return code.rpartition(".")[2] or code


def code_of(error: BaseException) -> str:
    """The last word of the code that AWS answered; empty for an error that is none of AWS's."""
    if not isinstance(error, bx.ClientError):
        return ""
    return last_word(str(error.response.get("Error", {}).get("Code", "")))


def status_of(error: BaseException) -> int:
    """The HTTP status of AWS's answer; 0 where there is none."""
    if not isinstance(error, bx.ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_login_error(error: BaseException) -> bool:
    """Whether AWS refused who we are, or when we say it is: the same for every queue, and it may pass."""
    return code_of(error) in EXPIRED | BAD_LOGIN | SIGNATURE


def is_throttled(error: BaseException) -> bool:
    """Whether AWS refused the request for its rate; it did nothing."""
    return code_of(error) in THROTTLED or status_of(error) in (429, 503)


def has_timed_out(error: BaseException) -> bool:
    """Whether no answer came in time."""
    return isinstance(error, bx.ReadTimeoutError)


def was_not_sent(error: BaseException) -> bool:
    """Whether the request never reached the endpoint, so that it can't have had an effect."""
    # ProxyConnectionError and SSLError come before a request as well.
    return isinstance(error, (bx.EndpointConnectionError, bx.ConnectTimeoutError, bx.ProxyConnectionError, bx.SSLError))


def broker_error(
    error: BaseException, *, where: str, doing: str, queue: str = "", in_doubt: bool = False
) -> BrokerError:
    """The contract's error for `error`, met while `doing` something at `where`.

    `in_doubt`: the request can't be repeated without doubling its effect, so a lost answer leaves it unknown.
    """
    if isinstance(error, BrokerError):
        return error
    if isinstance(error, bx.ClientError):
        return _answered(error, where, doing, queue, in_doubt=in_doubt)
    known = _login_error(error, where, doing)
    if known is not None:
        return known
    if isinstance(error, bx.SSLError):
        return BrokerMisconfigured(
            f"{where}: can't {doing}: the TLS connection failed: {_text(error)}",
            hint="check the endpoint's scheme and its certificate; AWS_CA_BUNDLE names other authorities",
        )
    if isinstance(error, (bx.HTTPClientError, bx.ConnectionError, OSError)):
        return BrokerUnavailable(
            f"{where}: can't {doing}: {_text(error)}",
            hint="check the endpoint (mq.sqs.endpoint_url, AWS_ENDPOINT_URL_SQS), the region and the network",
            in_doubt=in_doubt and not was_not_sent(error),
        )
    return BrokerMisconfigured(
        f"{where}: can't {doing}: {_text(error)}", hint="check mq.sqs, the AWS configuration files and variables"
    )


def entry_error(failed: dict[str, Any], *, where: str, doing: str, queue: str, in_doubt: bool = False) -> BrokerError:
    """The contract's error for one entry of a batch that failed."""
    response: Any = {
        "Error": {"Code": failed.get("Code", ""), "Message": failed.get("Message", "")},
        "ResponseMetadata": {"HTTPStatusCode": 400 if failed.get("SenderFault") else 500},
    }
    return broker_error(bx.ClientError(response, doing), where=where, doing=doing, queue=queue, in_doubt=in_doubt)


def is_lost_handle(code: str, text: str) -> bool:
    """Whether AWS doesn't take a receipt handle any more, for whatever reason."""
    word = last_word(code)
    return word in HANDLE or (
        word == "InvalidParameterValue" and (_EXPIRED_HANDLE.search(text) or _CAP.search(text)) is not None
    )


def lease_lost(delivery: Delivery, where: str) -> LeaseLost:
    """The delivery is settled, its lease ended, or it isn't of this process."""
    return LeaseLost(
        f"{where}: delivery {delivery.deliveries} of message {delivery.id or '(no id)'} in {delivery.queue!r} is not "
        "ours any more: it is settled, or its lease ended",
        hint="if runs are lost often, raise mq.sqs.lease, or find what stops the worker's threads",
    )


def queue_missing(queue: str, where: str) -> QueueMissing:
    """There is no such queue, or this login may not know of it."""
    return QueueMissing(
        f"{where}: there is no queue {queue!r}",
        hint="create it (`aws sqs create-queue`), or check name, region and account; after a delete SQS needs 60 s "
        "before the same name can be created again",
    )


def bad_name(queue: str, problem: str, where: str) -> Unroutable:
    """No queue can have this name."""
    return Unroutable(f"{where}: {queue[:80]!r} can't be a queue: {problem}", hint="choose another queue")


def too_large(queue: str, size: int, limit: int, where: str) -> BodyTooLarge:
    """A message that SQS would refuse."""
    return BodyTooLarge(
        f"{where}: a message for {queue!r} of {size} bytes with its attributes, over {limit}",
        hint="put the data into a file and send its path, or set mq.sqs.large: s3://bucket/prefix",
    )


def _answered(error: bx.ClientError, where: str, doing: str, queue: str, *, in_doubt: bool) -> BrokerError:
    code, text = code_of(error), _text(error)
    if code in MISSING:
        return queue_missing(queue, where)
    known = _refused(error, code, text, where, doing)
    if known is not None:
        return known
    if code in TOO_LARGE or (code == "InvalidParameterValue" and _SIZE.search(text)):
        return BodyTooLarge(
            f"{where}: can't {doing}: {text}",
            hint="put the data into a file and send its path, or set mq.sqs.large: s3://bucket/prefix",
        )
    if is_throttled(error):
        return BrokerUnavailable(
            f"{where}: can't {doing}: AWS limits the rate of requests: {text}",
            hint="it is repeated with growing pauses; raise mq.concurrency rather than the number of workers, and ask "
            "AWS for a higher quota if it lasts",
        )
    if code == "OverLimit":
        return BrokerBlocked(
            f"{where}: can't {doing}: a limit of the queue is reached: {text}",
            hint="at most 120,000 messages of a queue can be in flight; settle some, or spread the work over queues",
        )
    if code in NOT_NOW or status_of(error) >= 500:
        return BrokerUnavailable(
            f"{where}: can't {doing}: {code or status_of(error)}: {text}",
            hint="the service has a problem; it is repeated with growing pauses",
            in_doubt=in_doubt,
        )
    return BrokerMisconfigured(
        f"{where}: can't {doing}: {code}: {text}", hint="check the queue's attributes and mq.sqs"
    )


def _refused(error: bx.ClientError, code: str, text: str, where: str, doing: str) -> BrokerError | None:
    """For what a login, a right, a key or a clock is refused."""
    if code.startswith("Kms") or "KMS." in str(error.response.get("Error", {}).get("Code", "")).upper():
        if code in THROTTLED:
            return None
        return BrokerMisconfigured(
            f"{where}: can't {doing}: the queue's KMS key refused: {code}: {text}",
            hint="give producers kms:GenerateDataKey and kms:Decrypt, and workers kms:Decrypt, on the key of the "
            "queue, in the key's policy too; check that the key is enabled",
        )
    if code in DENIED:
        found = _ACTION.search(text)
        action = next((part for part in found.groups() if part), "") if found else ""
        # The right to an action is that to its batches.
        action = action or f"sqs:{error.operation_name}".removesuffix("Batch")
        shown = action if ":" in action else f"sqs:{action}"
        return BrokerMisconfigured(
            f"{where}: can't {doing}: {shown} is denied: {text}",
            hint=f"allow {shown} on the queue, in the identity's policy or the queue's; the README of awf-mq-sqs has "
            "the whole policy",
        )
    if code in EXPIRED:
        return BrokerMisconfigured(
            f"{where}: can't {doing}: the credentials have expired: {text}",
            hint="renew them (`aws sso login`, `aws sts get-session-token`), or use a role, whose credentials renew "
            "themselves",
        )
    if code in SIGNATURE and _SKEW.search(f"{code} {text}"):
        return BrokerMisconfigured(
            f"{where}: can't {doing}: AWS refuses the signature's time: {text}",
            hint="the clock of this host is wrong by more than five minutes: set it (chrony, ntpd)",
        )
    if code in SIGNATURE or code in BAD_LOGIN:
        return BrokerMisconfigured(
            f"{where}: can't {doing}: AWS refuses the credentials: {code}: {text}",
            hint="check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile, or the role of this host",
        )
    return None


def _login_error(error: BaseException, where: str, doing: str) -> BrokerError | None:
    """For what is missing before a request can be sent."""
    if isinstance(error, bx.NoRegionError):
        return BrokerMisconfigured(
            f"{where}: can't {doing}: no AWS region is set",
            hint="set mq.sqs.region or AWS_REGION, or give the whole URL in mq.sqs.queue_url",
        )
    if isinstance(error, (bx.NoCredentialsError, bx.PartialCredentialsError)):
        return BrokerMisconfigured(
            f"{where}: can't {doing}: no AWS credentials were found: {_text(error)}",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, mq.sqs.profile, or give this host a role",
        )
    if isinstance(error, bx.ProfileNotFound):
        return BrokerMisconfigured(
            f"{where}: can't {doing}: {_text(error)}", hint="check mq.sqs.profile, AWS_PROFILE and ~/.aws/config"
        )
    if isinstance(error, (bx.CredentialRetrievalError, bx.TokenRetrievalError, bx.SSOTokenLoadError)):
        return BrokerUnavailable(
            f"{where}: can't {doing}: the AWS credentials can't be fetched: {_text(error)}",
            hint="check the credential process, the web identity or SSO session, or the host's metadata service",
        )
    return None


def _text(error: BaseException) -> str:
    if isinstance(error, bx.ClientError):
        text = str(error.response.get("Error", {}).get("Message", "")) or str(error)
    else:
        text = str(error)
    return redact_url(" ".join(text.split()))[:500] or type(error).__name__
