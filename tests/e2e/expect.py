"""Everything the tests expect of mailcall's words: one place, so that a reworded message is one
change. The rest of the tests looks at deeds."""

import re


def watching(account: str, mailbox: str) -> str:
    """The log line that says a mailbox is watched from here on."""
    return rf"\b{re.escape(account)}/{re.escape(mailbox)}: watching"


# --- log lines, and what `watch` says on stderr; matched without case ---

LOGIN_REFUSED = r"login|password|AUTHENTICATIONFAILED"
NO_SECRET = r"password|secret|token"
UNKNOWN_CA = r"certificate|issuer|authority"
OTHER_HOST = r"certificate is for .* not for|host ?name"
EXPIRED = r"expired"
FINGERPRINT = r"fingerprint"
STARTTLS = r"STARTTLS"
PREAUTH = r"PREAUTH|STARTTLS"
NO_MAILBOX = r"mailbox|NONEXISTENT"
PLAIN_TEXT = "only to localhost"
NOT_AS_ROOT = r"allow_root"
RENUMBERED = r"renumbered"
WOULD_RUN = r"would run"
ACTION_DROPPED = r"dropped"


def outcome(rule: str, result: str) -> str:
    """The abstract line of one hook run; result: ok fail again timeout signal spawn."""
    return rf"\b{re.escape(rule)} {result} \d"


def hook_line(rule: str) -> str:
    """A line that a hook printed, in the log; the text stands behind it."""
    return rf"\[{re.escape(rule)}\] "


# --- exit codes, INTERFACE 1.10 ---

OK = 0
NO = 1
NOT_RUNNING = 3
USAGE = 64
BAD_MESSAGE = 65
NO_INPUT = 66
NO_HOST = 68
UNAVAILABLE = 69
CANNOT_CREATE = 73
AGAIN = 75
PROTOCOL = 76
NO_PERMISSION = 77
CONFIG = 78
TIMED_OUT = 124

# --- the environment contract, INTERFACE 3 ---

EVENT_FIELDS = [
    "VERSION", "EVENT", "EVENT_ID", "ATTEMPT", "RULE", "ACCOUNT", "MAILBOX", "MAILBOX_ROLE",
    "UID", "UIDVALIDITY", "FLAGS", "URL", "RECEIVED", "RECEIVED_EPOCH", "SIZE",
]
MESSAGE_FIELDS = [
    "SUBJECT", "FROM", "FROM_NAME", "TO", "CC", "REPLY_TO", "SENDER", "RECIPIENT", "EXTENSION",
    "MESSAGE_ID", "IN_REPLY_TO", "DATE", "LIST_ID", "ATTACHMENT_COUNT", "ATTACHMENTS",
    "AUTH_DKIM", "AUTH_DKIM_DOMAIN", "AUTH_SPF", "AUTH_DMARC", "MATCH", "PREVIEW", "TRUNCATED",
    "FILE",
]
FIXED_FIELDS = EVENT_FIELDS + MESSAGE_FIELDS
# set where they mean something; always set is fine, too
CONDITIONAL_FIELDS = ["JSON_FILE", "ATTACHMENTS_DIR", "COUNT", "UIDS", "HOOK_RESULT",
                      "HOOK_STATUS"]

VALUE_MAX = 8 * 1024
TOTAL_MAX = 64 * 1024
EVENT_ID = r"[a-z2-7]{26}"
TAIL_MAX = 4096

# never in a hook's environment
SECRET_NAMES = ["CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]
