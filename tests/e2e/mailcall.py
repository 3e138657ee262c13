"""The program under test, in a private home, and the records that its hooks leave."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import yaml

import expect
from waiting import DEADLINE, wait_for

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BUILD", "build"))
PROGRAM = (BUILD if BUILD.is_absolute() else ROOT / BUILD) / "mailcall"

SANITIZED = bool(os.environ.get("SAN"))
REPORTS = re.compile(r"(AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:)")


class Record:
    """What one run of the recorder hook saw."""

    def __init__(self, path: Path):
        self.__dict__.update(json.loads(path.read_text()))
        self.path = path
        self.argv = [a.encode("latin-1") for a in self.argv]
        self.environ = {k: v.encode("latin-1") for k, v in self.environ.items()}

    def __repr__(self):
        return f"<run of {self['RULE']} for {self['MAILBOX']}:{self['UID']} {self['SUBJECT']!r}>"

    def __getitem__(self, name: str) -> str:
        """A MAILCALL_ variable by the rest of its name."""
        return self.environ["MAILCALL_" + name].decode()

    @property
    def uid(self) -> int:
        return int(self["UID"])

    @property
    def stdin(self) -> bytes:
        return self.path.with_suffix(".stdin").read_bytes()

    @property
    def done(self) -> bool:
        return self.path.with_suffix(".done").exists()

    @property
    def ours(self) -> dict:
        """Every MAILCALL_ variable, without the prefix."""
        return {k[9:]: v for k, v in self.environ.items() if k.startswith("MAILCALL_")}


class Home:
    """A folder with configuration, state and records; programs started in it end with it."""

    def __init__(self, folder: Path, certs):
        self.folder = folder
        self.certs = certs
        self.programs = []
        self.last_words = None
        for name in ("home", "run", "records", "config"):
            (folder / name).mkdir()
            (folder / name).chmod(0o700)
        self.records_folder = folder / "records"
        self.config_file = folder / "config" / "mailcall.yaml"
        self.canary = folder / "canary"
        self.state = folder / "home/.local/state/mailcall"
        self.recorder_program = folder / "recorder"
        self.recorder_program.write_text(
            f"#!{sys.executable} -IS\n" + Path(__file__).with_name("recorder.py").read_text())
        self.recorder_program.chmod(0o755)

    # --- configuration ---

    def configure(self, accounts: dict, rules: list, **more) -> Path:
        config = {"daemon": {"allow_root": True}, "accounts": accounts, "rules": rules, **more}
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=10000)
        return self.configure_text(text)

    def configure_text(self, text: str) -> Path:
        self.config_file.write_text(text)
        self.config_file.chmod(0o600)
        return self.config_file

    def account(self, user, *mailboxes: str, **keys) -> dict:
        """A Dovecot user's account, over TLS and trusting our authority."""
        account = {"host": "localhost", "port": user.server.tls_port, "user": user.name,
                   "tls_ca_file": str(self.certs.ca_file), "password": user.password, **keys}
        if mailboxes:
            account["mailboxes"] = list(mailboxes)
        return {k: v for k, v in account.items() if v is not None}

    def scripted_account(self, server, **keys) -> dict:
        account = {"host": "localhost", "port": server.port, "user": "ann",
                   "tls_ca_file": str(self.certs.ca_file), "password": "secret", **keys}
        if server.starttls and "tls" not in keys:
            account["tls"] = "starttls"
        return {k: v for k, v in account.items() if v is not None}

    def record(self, *arguments: str) -> list:
        """The `run:` of a rule that leaves a record."""
        return [str(self.recorder_program), str(self.records_folder), *arguments]

    def record_sh(self, more: str = "") -> str:
        return f"{self.recorder_program} {self.records_folder} {more}".rstrip()

    # --- programs ---

    def environment(self, **more) -> dict:
        environment = {
            "HOME": str(self.folder / "home"),
            "XDG_STATE_HOME": str(self.folder / "home/.local/state"),
            "XDG_CONFIG_HOME": str(self.folder / "home/.config"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
        }
        for name, value in os.environ.items():
            if name.endswith("SAN_OPTIONS"):
                environment[name] = value
        environment.update(more)
        return {k: str(v) for k, v in environment.items() if v is not None}

    def call(self, *arguments, env=None, stdin=None, seconds=DEADLINE, cwd=None):
        """Runs mailcall to its end."""
        done = subprocess.run(
            [PROGRAM, *map(str, arguments)], env=self.environment(**(env or {})), input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True, text=True, timeout=seconds, cwd=cwd or self.folder)
        assert not REPORTS.search(done.stderr), done.stderr
        return done

    def start(self, *arguments, env=None, cwd=None) -> "Program":
        program = Program(self, list(map(str, arguments)), self.environment(**(env or {})),
                          cwd or self.folder)
        self.programs.append(program)
        return program

    def run(self, *watched: str, options=(), env=None) -> "Program":
        """Starts `mailcall run` and waits until these mailboxes ("account/mailbox") are watched."""
        program = self.start("run", "-c", self.config_file, *options, env=env)
        for target in watched:
            program.wait_watching(target)
        return program

    def logs(self) -> str:
        if self.last_words is not None:
            return self.last_words
        return "\n".join(f"$ {' '.join(map(str, p.arguments))}\n{p.log}" for p in self.programs)

    def close(self):
        """Ends what still runs, and the folder; the logs stay to be asked for."""
        try:
            for program in self.programs:
                program.stop()
        finally:
            for program in self.programs:
                program.kill()
            self.last_words = self.logs()
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- records ---

    def records(self) -> list:
        found = [Record(p) for p in self.records_folder.glob("*.json")]
        return sorted(found, key=lambda r: r.began)

    def count(self) -> int:
        return len(list(self.records_folder.glob("*.json")))

    def wait_records(self, n: int, program: "Program" = None, seconds=DEADLINE) -> list:
        """Waits for n runs in all; more than n are an error."""
        wait_for(lambda: self.count() >= n, f"{n} hook runs", seconds,
                 alive=program and program.assert_alive)
        records = self.records()
        assert len(records) == n, records
        return records


class Program:
    """One running mailcall."""

    def __init__(self, home: Home, arguments: list, environment: dict, cwd: Path):
        self.home = home
        self.arguments = arguments
        number = len(home.programs)
        self.log_file = home.folder / f"stderr.{number}"
        self.out_file = home.folder / f"stdout.{number}"
        with open(self.log_file, "wb") as err, open(self.out_file, "wb") as out:
            self.process = subprocess.Popen(
                [PROGRAM, *arguments], env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, start_new_session=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_bytes().decode("utf-8", "backslashreplace")

    @property
    def out(self) -> str:
        return self.out_file.read_text()

    def assert_alive(self):
        assert self.process.poll() is None, \
            f"mailcall ended with {self.process.returncode}:\n{self.log}"

    def lines(self, pattern: str) -> list:
        compiled = re.compile(pattern, re.IGNORECASE)
        return [line for line in self.log.splitlines() if compiled.search(line)]

    def wait_log(self, pattern: str, times: int = 1, seconds=DEADLINE) -> list:
        """The log lines with this pattern, once there are so many of them."""
        wait_for(lambda: len(self.lines(pattern)) >= times, f"{times} log lines with {pattern!r}",
                 seconds, alive=self.assert_alive)
        return self.lines(pattern)

    def wait_watching(self, target: str, times: int = 1, seconds=DEADLINE):
        account, _, mailbox = target.partition("/")
        self.wait_log(expect.watching(account, mailbox), times, seconds)

    def signal(self, number):
        self.process.send_signal(number)

    def wait_end(self, status: int = None, seconds=DEADLINE) -> int:
        wait_for(lambda: self.process.poll() is not None, "mailcall to end", seconds)
        self.assert_no_report()
        if status is not None:
            assert self.process.returncode == status, self.log
        return self.process.returncode

    def assert_no_report(self):
        assert not REPORTS.search(self.log), self.log

    def stop(self):
        """Ends it as a service manager would; a program that was well ends with 0."""
        if self.process.poll() is not None:
            self.assert_no_report()
            assert self.process.returncode >= 0, f"died of signal {-self.process.returncode}"
            return
        self.signal(signal.SIGTERM)
        try:
            self.wait_end(0)
        finally:
            self.kill()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def memory(self, name: str) -> int:
        """VmRSS or VmHWM of the process, in bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {name}")
