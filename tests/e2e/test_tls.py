"""Whom mailcall talks to: nobody hears a password who has not shown who he is."""

import ssl

import pytest

import expect
from mails import mail
from waiting import wait_for

SECRET = "do-not-tell"


def refuse(home, servers, pattern, **account):
    """`run` says so in one line per account, and no server has heard anything of value."""
    account = {"password": SECRET, "tls_ca_file": str(home.certs.ca_file), **account}
    home.configure({"work": home.scripted_account(servers, **account)},
                   [{"name": "all", "run": home.record()}])
    program = home.start("run", "-c", home.config_file)
    program.wait_log(rf"\bwork\b.*({pattern})")
    # the next attempt, too
    wait_for(lambda: len(servers.connections) >= 2, "a second attempt", 60,
             alive=program.assert_alive)
    wait_for(lambda: servers.connections[1].over, "its end", alive=program.assert_alive)
    program.stop()
    said = [line for line in program.log.splitlines() if "work" in line]
    assert len(said) == 1, said
    heard(servers)
    return said[0]


def heard(servers):
    everything = servers.everything_read()
    assert SECRET.encode() not in everything
    for word in ("LOGIN", "AUTHENTICATE", "ID", "EXAMINE"):
        assert servers.commands(word) == 0


def test_a_certificate_of_an_unknown_authority_is_refused(home, certs, server):
    refuse(home, server(tls=certs.unknown_ca.server_context()), expect.UNKNOWN_CA)


def test_the_systems_authorities_do_not_know_ours(home, server):
    refuse(home, server(), expect.UNKNOWN_CA, tls_ca_file=None)


def test_a_certificate_for_another_host_is_refused(home, certs, server):
    line = refuse(home, server(tls=certs.other_host.server_context()), expect.OTHER_HOST)
    assert "localhost" in line


def test_an_expired_certificate_is_refused(home, certs, server):
    refuse(home, server(tls=certs.expired.server_context()), expect.EXPIRED)


def test_a_wrong_fingerprint_is_refused(home, certs, server):
    refuse(home, server(), expect.FINGERPRINT, tls_ca_file=None,
           tls_fingerprint=certs.other_host.fingerprint)


def test_a_fingerprint_and_an_authority_must_both_be_right(home, certs, server):
    refuse(home, server(tls=certs.unknown_ca.server_context()), expect.UNKNOWN_CA,
           tls_fingerprint=certs.unknown_ca.fingerprint)


@pytest.mark.parametrize("name", ["unknown_ca", "other_host", "expired"])
def test_the_right_fingerprint_is_trust_enough(home, certs, server, name):
    certificate = getattr(certs, name)
    s = server(tls=certificate.server_context())
    home.configure(
        {"work": home.scripted_account(s, tls_ca_file=None,
                                       tls_fingerprint=certificate.fingerprint)},
        [{"name": "all", "run": home.record()}])
    program = home.run("work/INBOX")
    s.deliver(mail())
    home.wait_records(1, program)


def test_an_address_in_the_place_of_a_name_is_checked_too(home, certs, server):
    s = server()
    home.configure({"work": home.scripted_account(s, host="127.0.0.1")},
                   [{"name": "all", "run": home.record()}])
    home.run("work/INBOX")


def test_a_name_is_sent_to_the_server(home, certs, server):
    names = []
    context = certs.good.server_context()
    context.sni_callback = lambda socket, name, ctx: names.append(name)
    s = server(tls=context)
    home.configure({"work": home.scripted_account(s)}, [{"name": "all", "run": home.record()}])
    home.run("work/INBOX")
    assert names == ["localhost"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_older_than_1_2_is_refused(home, certs, server):
    context = certs.good.server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    refuse(home, server(tls=context), r"TLS|version|protocol")


def test_tls_1_2_is_spoken(home, certs, server):
    context = certs.good.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    s = server(tls=context)
    home.configure({"work": home.scripted_account(s)}, [{"name": "all", "run": home.record()}])
    program = home.run("work/INBOX")
    s.deliver(mail())
    home.wait_records(1, program)


# --- STARTTLS ---

PLAIN_CAPABILITIES = "IMAP4rev1 STARTTLS LOGINDISABLED IDLE SASL-IR AUTH=PLAIN"


@pytest.fixture
def starttls(certs, server):
    def make(certificate=None):
        context = (certificate or certs.good).server_context()
        s = server(starttls=context, capabilities=PLAIN_CAPABILITIES)
        s.capabilities_after_login = "IMAP4rev1 IDLE"
        return s
    return make


def test_starttls_and_everything_known_before_is_forgotten(home, starttls):
    s = starttls()

    def forget(connection, tag, _):
        connection.send(tag.encode() + b" OK go\r\n")
        connection.start_tls(s.starttls)
        s.capabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN"

    s.on["STARTTLS"] = forget
    home.configure({"work": home.scripted_account(s)}, [{"name": "all", "run": home.record()}])
    program = home.run("work/INBOX")
    s.deliver(mail())
    home.wait_records(1, program)
    names = [n for n, _ in s.last.commands]
    # one CAPABILITY at least stands behind it, and nothing but CAPABILITY before it
    behind = names.index("STARTTLS") + 1
    assert names[behind] == "CAPABILITY"
    assert set(names[: behind - 1]) <= {"CAPABILITY"}


def test_starttls_stands_alone_in_its_write(home, starttls):
    s = starttls()
    home.configure({"work": home.scripted_account(s)}, [{"name": "all", "run": home.record()}])
    home.run("work/INBOX")
    [write] = [w for w in s.last.writes if b"STARTTLS" in w]
    assert write.count(b"\r\n") == 1


@pytest.mark.parametrize("injected", [
    b"* OK [ALERT] you have been injected\r\n",
    b"a2 OK injected\r\n", b"* CAPABILITY IMAP4rev1\r\n", b"x", b"\r\n", b"* PREAUTH hi\r\n"])
def test_bytes_injected_behind_starttls_are_fatal(home, starttls, injected):
    s = starttls()
    s.behind_starttls_ok = injected
    refuse(home, s, expect.STARTTLS)


def test_a_stripped_starttls_capability_is_fatal(home, starttls):
    s = starttls()
    s.capabilities = "IMAP4rev1 IDLE SASL-IR AUTH=PLAIN"
    s.on["STARTTLS"] = lambda c, tag, _: c.bad(tag, "unknown command")
    refuse(home, s, expect.STARTTLS)


@pytest.mark.parametrize("answer", ["no", "bad"])
def test_a_refused_starttls_is_fatal(home, starttls, answer):
    s = starttls()
    s.on["STARTTLS"] = lambda c, tag, _: getattr(c, answer)(tag)
    refuse(home, s, expect.STARTTLS)


def test_preauth_in_the_clear_is_fatal(home, starttls):
    s = starttls()
    s.greeting = b"* PREAUTH [CAPABILITY IMAP4rev1 IDLE] come in\r\n"
    refuse(home, s, expect.PREAUTH)


def test_starttls_checks_the_certificate_like_everybody(home, certs, starttls):
    refuse(home, starttls(certs.unknown_ca), expect.UNKNOWN_CA)


def test_starttls_checks_the_host_name_like_everybody(home, certs, starttls):
    refuse(home, starttls(certs.other_host), expect.OTHER_HOST)


def test_a_plain_server_where_tls_was_meant_is_refused(home, server):
    refuse(home, server(tls=None), r"TLS|plain")


# --- plain text ---

def test_plain_text_to_another_host_is_a_config_error(home):
    home.configure({"work": {"host": "imap.example.org", "user": "ann", "password": "x",
                             "tls": "none"}}, [{"name": "all", "run": ["true"]}])
    done = home.call("check", home.config_file)
    assert done.returncode == expect.CONFIG
    assert expect.PLAIN_TEXT in done.stderr


def test_plain_text_by_a_name_that_is_not_loopback_never_connects(home):
    """A literal address outside 127.0.0.0/8 and ::1 does not become loopback by its name."""
    home.configure({"work": {"host": "192.0.2.1", "user": "ann", "password": "x", "tls": "none"}},
                   [{"name": "all", "run": ["true"]}])
    assert home.call("check", home.config_file).returncode == expect.CONFIG
