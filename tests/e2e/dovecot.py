"""A real Dovecot, private to the tests: own folder, own ports on loopback, own certificate."""

import base64
import grp
import imaplib
import itertools
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path

from waiting import wait_for

PASSWORD = "secret"
TEMPLATE = Path(__file__).with_name("dovecot.conf")


def program() -> str:
    return shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


class Dovecot:
    def __init__(self, folder: Path, certs):
        self.folder = folder
        self.certs = certs
        self.log_file = folder / "dovecot.log"
        self.process = None
        self.plain_port = self.tls_port = 0
        self._names = itertools.count(1)
        self._users = itertools.count(1)
        self._prepare()
        for attempt in range(5):
            self._choose_ports()
            if self.start():
                return
        raise AssertionError("Dovecot does not start:\n" + self.log())

    # --- the process ---

    def _prepare(self):
        """Dovecot's own processes never run as root: then mail belongs to nobody."""
        self.folder.chmod(0o755)
        (self.folder / "mail").mkdir()
        shutil.copyfile(self.certs.good.path, self.folder / "server.pem")
        if os.getuid() == 0:
            owner = pwd.getpwnam("nobody")
            self.uid, self.gid = owner.pw_uid, owner.pw_gid
            self.users = {"INTERNAL_USER": "dovecot", "INTERNAL_GROUP": "dovecot",
                          "LOGIN_USER": "dovenull"}
        else:
            self.uid, self.gid = os.getuid(), os.getgid()
            me = pwd.getpwuid(self.uid).pw_name
            self.users = {"INTERNAL_USER": me, "INTERNAL_GROUP": grp.getgrgid(self.gid).gr_name,
                          "LOGIN_USER": me}
        self._own(self.folder / "mail")

    def _own(self, path: Path):
        if os.getuid() == 0:
            os.chown(path, self.uid, self.gid)

    def _choose_ports(self):
        with socket.socket() as a, socket.socket() as b:
            a.bind(("127.0.0.1", 0))
            b.bind(("127.0.0.1", 0))
            self.plain_port, self.tls_port = a.getsockname()[1], b.getsockname()[1]
        text = TEMPLATE.read_text()
        for name, value in {**self.users, "DIR": self.folder, "UID": self.uid, "GID": self.gid,
                            "PORT_PLAIN": self.plain_port, "PORT_TLS": self.tls_port}.items():
            text = text.replace(f"@{name}@", str(value))
        (self.folder / "dovecot.conf").write_text(text)

    def start(self) -> bool:
        # a master that was killed leaves a pid behind that may be somebody else's by now
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [program(), "-F", "-c", str(self.folder / "dovecot.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: self._answers() or self.process.poll() is not None, "Dovecot to listen")
        return self.process.poll() is None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.plain_port), 5) as s:
                return s.recv(4) == b"* OK"
        except OSError:
            return False

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        """As if the machine had lost it: every process at once, nothing closed in order."""
        self._end(signal.SIGKILL)

    def _end(self, number: int):
        group = self.process.pid
        _signal_group(group, number)
        self.process.wait(30)
        # children that still finish something would keep the ports
        _signal_group(group, signal.SIGKILL)
        wait_for(lambda: not _group_lives(group), "Dovecot's processes to end")

    def restart(self):
        """Starts again on the same ports, which the kernel may need a moment to give back."""
        wait_for(self.start, "Dovecot to start again")

    def log(self, since: int = 0) -> str:
        if not self.log_file.exists():
            return ""
        with open(self.log_file, "rb") as f:
            f.seek(since)
            return f.read().decode(errors="replace")

    def log_size(self) -> int:
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    # --- users and mail ---

    def new_user(self) -> "User":
        return User(self, f"user{next(self._users)}")

    def next_name(self) -> int:
        return next(self._names)


class User:
    """One account with its Maildir."""

    password = PASSWORD

    def __init__(self, server: Dovecot, name: str):
        self.server = server
        self.name = name
        self.home = server.folder / "mail" / name
        self._folder("INBOX")

    def _folder(self, mailbox: str) -> Path:
        folder = self.home / "Maildir"
        if mailbox != "INBOX":
            folder = folder / ("." + mailbox.replace("/", ".").encode("ascii").decode())
        if not folder.exists():
            for path in (self.home, self.home / "Maildir", folder,
                         folder / "cur", folder / "new", folder / "tmp"):
                if not path.exists():
                    path.mkdir()
                    self.server._own(path)
            if mailbox != "INBOX":
                (folder / "maildirfolder").touch()
                self.server._own(folder / "maildirfolder")
        return folder

    def create(self, mailbox: str):
        """A mailbox by its plain name; '/' separates levels."""
        self._folder(utf7(mailbox))

    def deliver(self, message: bytes, mailbox: str = "INBOX", flags: str = "",
                received: float = None):
        """Puts a message there as a delivery agent does: complete, by one rename. flags are
        Maildir's letters: S seen, F flagged, T deleted."""
        folder = self._folder(utf7(mailbox))
        name = f"{self.server.next_name():010d}.test"
        path = folder / "tmp" / name
        path.write_bytes(message)
        self.server._own(path)
        if received is not None:
            os.utime(path, (received, received))
        path.rename(folder / f"cur/{name}:2,{flags}" if flags else folder / "new" / name)

    def renumber(self, mailbox: str = "INBOX"):
        """Has Dovecot forget the UIDs of a mailbox: for when it does not run."""
        folder = self._folder(utf7(mailbox))
        (folder / "dovecot-uidlist").unlink()
        for index in folder.glob("dovecot.index*"):
            index.unlink()

    def imap(self) -> imaplib.IMAP4_SSL:
        context = ssl.create_default_context(cafile=str(self.server.certs.ca_file))
        connection = imaplib.IMAP4_SSL("localhost", self.server.tls_port, ssl_context=context)
        connection.login(self.name, PASSWORD)
        return connection

    def append(self, message: bytes, mailbox: str = "INBOX"):
        with self.imap() as imap:
            _ok(imap.append(utf7(mailbox), None, None, message.replace(b"\n", b"\r\n")))

    def flag(self, uids: str, flags: str, mailbox: str = "INBOX", how: str = "+FLAGS"):
        with self.imap() as imap:
            _ok(imap.select(utf7(mailbox)))
            _ok(imap.uid("STORE", uids, how, f"({flags})"))

    def expunge(self, uids: str, mailbox: str = "INBOX"):
        with self.imap() as imap:
            _ok(imap.select(utf7(mailbox)))
            _ok(imap.uid("STORE", uids, "+FLAGS", r"(\Deleted)"))
            _ok(imap.expunge())

    def delete_mailbox(self, mailbox: str):
        with self.imap() as imap:
            _ok(imap.delete(utf7(mailbox)))

    def uids(self, mailbox: str = "INBOX") -> list:
        with self.imap() as imap:
            _ok(imap.select(utf7(mailbox), readonly=True))
            return [int(uid) for uid in _ok(imap.uid("SEARCH", "ALL"))[0].split()]

    def flags(self, uid: int, mailbox: str = "INBOX") -> bytes:
        with self.imap() as imap:
            _ok(imap.select(utf7(mailbox), readonly=True))
            return _ok(imap.uid("FETCH", str(uid), "(FLAGS)"))[0]

    def content(self, mailbox: str = "INBOX") -> list:
        """(subject, flags) of every message, in order."""
        found = []
        with self.imap() as imap:
            _ok(imap.select(f'"{utf7(mailbox)}"', readonly=True))
            what = "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
            for part in _ok(imap.uid("FETCH", "1:*", what)):
                if isinstance(part, tuple):
                    flags = {f.decode() for f in imaplib.ParseFlags(part[0])} - {r"\Recent"}
                    subject = part[1].partition(b":")[2].strip().decode()
                    found.append((subject, flags))
        return found


def utf7(name: str) -> str:
    """RFC 3501 5.1.3: a mailbox name on the wire and on Dovecot's disk."""
    out, run = [], ""
    for char in name + "\0":
        if " " <= char <= "~":
            out.append(_shift(run) + ("&-" if char == "&" else char))
            run = ""
        elif char == "\0":
            out.append(_shift(run))
        else:
            run += char
    return "".join(out)


def _shift(run: str) -> str:
    if not run:
        return ""
    text = base64.b64encode(run.encode("utf-16-be")).decode().rstrip("=")
    return "&" + text.replace("/", ",") + "-"


def _ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


def _signal_group(group: int, number: int):
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def _group_lives(group: int) -> bool:
    """Whether a process of the group is left that is not merely waiting to be reaped."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(pgrp) == group and state not in "ZX":
            return True
    return False
