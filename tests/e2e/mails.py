"""Messages as a Maildir holds them: bytes with LF line ends."""

import itertools

_numbers = itertools.count(1)


def mail(subject="hello", body=b"Hello.\n", headers=(), sender="Ann <ann@example.org>",
         to="bob@example.com") -> bytes:
    """A plain message. subject and header values may be bytes, to be as wrong as needed;
    None leaves the field out."""
    fields = [
        ("From", sender),
        ("To", to),
        ("Subject", subject),
        ("Date", "Fri, 3 Oct 2025 14:02:07 +0000"),
        ("Message-ID", f"<{next(_numbers)}@example.org>"),
        *headers,
    ]
    lines = [_bytes(name) + b": " + _bytes(value) for name, value in fields if value is not None]
    return b"\n".join(lines) + b"\n\n" + body


def _bytes(value) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def header_block(message: bytes) -> bytes:
    """What `stdin: headers` gives: everything up to the empty line, that line included."""
    return message[: message.index(b"\n\n") + 2]
