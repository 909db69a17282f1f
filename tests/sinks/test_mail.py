"""E-mail through a real SMTP server on loopback: digests, TLS, logins, restarts, nothing lost, no mail twice."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import ssl
import time
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.ports import free_port
from tests.sinks.outside import certificate, context, crossing, frame, stay
from tests.sources.cameras import wait_until
from tracker.errors import ConfigError
from tracker.events import Event
from tracker.plugins import open_sink
from tracker.sinks import courier as courier_module
from tracker.sinks import mail as mail_module
from tracker.sinks.digest_desk import DigestDesk
from tracker.site import Site

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")  # smtps is TLS

PASSWORD = "pass-of-the-mailbox"
BOXES = "from=cams@example.org&to=me@example.org,you@example.org"


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(courier_module, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(courier_module, "LONGEST_PAUSE_S", 0.1)


class Office:
    """A server that keeps what it takes; STARTTLS and a login are required, or TLS from the beginning."""

    def __init__(self, folder: Path, *, tls: str = "starttls", port: int = 0) -> None:
        folder.mkdir(exist_ok=True)
        self.files = certificate(folder, "127.0.0.1")
        self.tls, self.port = tls, port or free_port()
        self.mails: list[email.message.EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refused: set[str] = set()
        self.answer = ""
        self._controller: Controller | None = None
        self.start()

    def start(self) -> None:
        chosen = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chosen.load_cert_chain(*self.files)
        office = self

        class Started(Controller):
            def factory(self):
                if office.tls == "off":
                    return SMTP(self.handler, hostname="office")
                return SMTP(
                    self.handler,
                    hostname="office",
                    tls_context=chosen if office.tls == "starttls" else None,
                    require_starttls=office.tls == "starttls",
                    auth_required=True,
                    auth_require_tls=office.tls == "starttls",
                    authenticator=office.let_in,
                )

        implicit = chosen if self.tls == "implicit" else None
        self._controller = Started(self, hostname="127.0.0.1", port=self.port, ssl_context=implicit)
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop(no_assert=True)
            self._controller = None

    def let_in(self, _server, _session, _envelope, _mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"cams", PASSWORD.encode()), handled=False)

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):
        if self.answer:
            return self.answer
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"

    def url(self, options: str = "", *, user: str = "cams", password: str = PASSWORD) -> str:
        scheme = "smtps" if self.tls == "implicit" else "smtp"
        login = f"{user}:{password}@" if user else ""
        ca = "&tls=off" if self.tls == "off" else f"&ca={self.files[0]}"
        return f"{scheme}://{login}127.0.0.1:{self.port}?{BOXES}{ca}{options}"


@pytest.fixture
def office(tmp_path):
    office = Office(tmp_path / "office")
    yield office
    office.stop()


def problem(sink) -> str:
    return " ".join(queue.problem for queue in sink.queues)


def text_of(mail) -> str:
    return mail.get_body().get_content().replace("\r\n", "\n")


def rows(mail) -> list[str]:
    [attachment] = mail.iter_attachments()
    return attachment.get_content().decode().splitlines()


@pytest.mark.parametrize("tls", ["starttls", "implicit", "off"])
def test_a_recording_ends_with_one_mail(tmp_path, tls):
    office = Office(tmp_path / "office", tls=tls)
    try:
        site = Site(timezone="Europe/Berlin")
        address = office.url("&alerts=digest", user="" if tls == "off" else "cams")
        with open_sink(address, context(tmp_path, live=False, site=site)) as sink:
            sink.write(frame(crossing(1), crossing(2), crossing(3, direction="out"), stay(4)))
            sink.write_events([Event(kind="alert", stream="gate", time_s=9.0, place="queue over 7", value=8.0)])
        [mail] = office.mails
    finally:
        office.stop()
    assert office.recipients == [["me@example.org", "you@example.org"]]
    assert (mail["Subject"], mail["From"]) == ("gate: 4 events, 1 alert", "cams@example.org")
    text = text_of(mail)
    assert "crossing  door          in   person  2\n" in text
    assert "2026-11-28 19:20:01+01:00  crossing, door, in, person, number 1\n" in text
    assert "9.0 s  alert, queue over 7, value 8\n" in text
    assert "leave" not in text  # one of the kinds that are not mailed unless asked for
    assert len(rows(mail)) == 4


def alert(number: int, *, since_s: float | None = None) -> Event:
    place = f"queue over {number}"
    return Event(kind="alert", stream="gate", time_s=9.0, place=place, value=8.5, since_s=since_s)


def test_alerts_are_mailed_at_once_and_once(tmp_path, office):
    with open_sink(office.url("&every=3600"), context(tmp_path)) as sink:
        sink.write(frame(crossing(1), alert(7), crossing(2)))
        assert wait_until(lambda: len(office.mails) == 1)
        sink.write(frame(alert(7, since_s=4.0)))
        assert wait_until(lambda: len(office.mails) == 2)
        assert wait_until(lambda: sink.queues[0].rows == 2)  # the crossings wait for their period
    with open_sink(office.url("&every=3600"), context(tmp_path)) as sink:  # after a restart that gives it again
        sink.write(frame(alert(7)))
        assert sink.queues[0].rows == 2
    assert [mail["Subject"] for mail in office.mails] == ["gate: alert: queue over 7", "gate: alert over: queue over 7"]
    assert text_of(office.mails[0]).splitlines()[2:] == ["since 9.0 s", "value 8.5"]
    assert text_of(office.mails[1]).splitlines()[2:] == ["over 9.0 s", "lasted 5 s", "highest value 8.5"]
    assert len({mail["Message-ID"] for mail in office.mails}) == 2


def test_many_alerts_after_an_outage_are_one_mail(tmp_path, office):
    office.stop()
    with open_sink(office.url("&every=3600"), context(tmp_path)) as sink:
        sink.write(frame(*(alert(number) for number in range(30)), crossing(1)))
        assert wait_until(lambda: problem(sink))
        office.start()
        assert wait_until(lambda: sink.queues[0].rows == 1)
    assert [mail["Subject"] for mail in office.mails] == ["gate: 30 events, 30 alerts"]


def test_all_streams_of_a_service_have_one_digest_a_period(tmp_path, office):
    yard = context(tmp_path, stream="yard", site=Site(timezone="Asia/Tokyo"))
    with (
        open_sink(office.url("&every=1"), context(tmp_path)) as gate,
        open_sink(office.url("&every=1"), yard) as second,
        open_sink(office.url("&every=1&alerts=digest"), context(tmp_path, stream="roof")) as apart,
    ):
        while time.time() % 1 > 0.5:  # at the beginning of a period
            time.sleep(0.05)
        gate.write(frame(crossing(1), alert(7)))
        second.write(frame(crossing(2, stream="yard"), crossing(3, stream="yard")))
        apart.write(frame(crossing(4, stream="roof")))
        assert (len(gate.queues), len(second.queues), len(apart.queues)) == (2, 1, 2)  # each queue is counted once
        assert wait_until(lambda: len(office.mails) == 3)
        assert wait_until(lambda: gate.queues[0].rows == apart.queues[0].rows == 0)
    assert sorted(mail["Subject"] for mail in office.mails) == [
        "2 streams: 3 events", "gate: alert: queue over 7", "roof: 1 event",
    ]  # fmt: skip
    [mail] = [mail for mail in office.mails if mail["Subject"].startswith("2 streams")]
    text = text_of(mail)
    assert "gate  crossing  door  in  person  1\nyard  crossing  door  in  person  2\n" in text
    assert "2026-11-28 18:20:01+00:00  gate, crossing, door, in, person, number 1\n" in text
    assert "2026-11-29 03:20:02+09:00  yard, crossing, door, in, person, number 2\n" in text
    assert len(rows(mail)) == 3


def test_rows_of_a_digest_go_where_a_changed_option_leads(tmp_path, office):
    before, after = office.url("&every=3600"), office.url("&every=1")

    def facts(name: str, *outputs: str):
        return context(tmp_path, stream=name, outputs=outputs)

    with open_sink(before, facts("gate", before)) as gate, open_sink(before, facts("yard", before)) as yard:
        gate.write(frame(crossing(1), crossing(2)))
        yard.write(frame(crossing(3, stream="yard")))
        assert gate.queues[0].rows == 3
    assert office.mails == []
    with (
        open_sink(before, facts("gate", before, after)) as first,  # a second output takes nothing from the first
        open_sink(after, facts("gate", before, after)) as second,
    ):
        assert (first.queues[0].rows, second.queues[0].rows) == (3, 0)
    with open_sink(after, facts("gate", after)), open_sink(before, facts("yard", before)) as yard:
        assert wait_until(lambda: len(office.mails) == 1)
        assert yard.queues[0].rows == 1
    assert [json.loads(row)["key"] for row in rows(office.mails[0])] == [crossing(1).key, crossing(2).key]


def test_a_stream_that_ends_leaves_its_rows_to_the_digest_of_the_others(tmp_path, office):
    first = open_sink(office.url("&every=1"), context(tmp_path))
    with open_sink(office.url("&every=1"), context(tmp_path, stream="yard")) as second:
        while time.time() % 1 > 0.5:
            time.sleep(0.05)
        first.write(frame(crossing(1)))
        first.close()
        first.close()
        assert len(second.queues) == 2
        second.write(frame(crossing(2, stream="yard")))
        assert wait_until(lambda: len(office.mails) == 1)
    assert office.mails[0]["Subject"] == "2 streams: 2 events"


def test_a_stream_has_digests_of_its_own_where_another_process_has_the_shared_one(tmp_path, office, monkeypatch):
    monkeypatch.setattr("tracker.sinks.digest_desk.PATIENCE_S", 0.0)
    with open_sink(office.url("&every=1"), context(tmp_path)):
        monkeypatch.setattr(DigestDesk, "_open", {})  # as another process sees it
        with open_sink(office.url("&every=1"), context(tmp_path, stream="yard")) as second:
            assert len(second.queues) == 1
            second.write(frame(crossing(2, stream="yard")))
            assert wait_until(lambda: len(office.mails) == 1)
        monkeypatch.undo()
    assert office.mails[0]["Subject"] == "yard: 1 event"


def test_another_word_for_alerts_is_refused(tmp_path, office):
    with pytest.raises(ConfigError, match="expected alerts=digest or nothing, found alerts=never"):
        open_sink(office.url("&alerts=never"), context(tmp_path))


def test_a_camera_has_one_mail_a_period_and_none_in_quiet_ones(tmp_path, office):
    with open_sink(office.url("&every=1&kinds=crossing,leave"), context(tmp_path)) as sink:
        while time.time() % 1 > 0.5:  # at the beginning of a period
            time.sleep(0.05)
        for number in range(5):
            sink.write(frame(crossing(number), stay(number)))
        assert office.mails == []
        assert wait_until(lambda: len(office.mails) == 1)
        assert wait_until(lambda: sink.queues[0].rows == 0)
        sink.write(frame(crossing(7)))
        assert wait_until(lambda: len(office.mails) == 2)
    assert [mail["Subject"] for mail in office.mails] == ["gate: 10 events", "gate: 1 event"]
    assert len({mail["Message-ID"] for mail in office.mails}) == 2


def test_a_service_that_stops_leaves_the_period_to_the_next_process(tmp_path, office):
    with open_sink(office.url("&every=3600"), context(tmp_path)) as sink:
        sink.write(frame(crossing(1)))
    assert office.mails == []
    with open_sink(office.url("&every=3600"), context(tmp_path)) as sink:
        sink.write(frame(crossing(1), crossing(2)))
        assert sink.queues[0].rows == 2
        assert sink.queues[0].problem == ""


def test_a_server_that_is_away_gets_the_mails_later_and_none_twice(tmp_path, office, caplog):
    caplog.set_level(logging.INFO, "tracker.live")
    office.stop()
    with open_sink(office.url("&every=1"), context(tmp_path)) as sink:
        sink.write(frame(*(crossing(number) for number in range(20))))
        assert wait_until(lambda: "expected an answer, found: " in problem(sink))
        assert sink.queues[0].rows == 20
        office.start()
        assert wait_until(lambda: sink.queues[0].rows == 0)
    found = [row for mail in office.mails for row in rows(mail)]
    assert len(found) == len(set(found)) == 20
    assert [record.msg for record in caplog.records if record.msg.startswith("output")] == [
        "output waits",
        "output back",
    ]


def test_a_mail_that_is_sent_again_after_a_kill_is_the_same_mail(tmp_path, office, monkeypatch):
    sink = open_sink(office.url("&every=1"), context(tmp_path))
    monkeypatch.setattr(sink._desk.spool, "done", lambda _messages: 1 / 0)  # the process ends between both
    sink.write(frame(crossing(1), crossing(2)))
    assert wait_until(lambda: len(office.mails) >= 1)
    sink.close()
    sent = len(office.mails)
    with open_sink(office.url("&every=1"), context(tmp_path)) as sink:
        assert wait_until(lambda: sink.queues[0].rows == 0)
    assert len(office.mails) == sent + 1
    assert len({mail["Message-ID"] for mail in office.mails}) == 1
    assert len({tuple(rows(mail)) for mail in office.mails}) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong-pass"}, "expected the server to accept the login 'cams', found: 535 "),
        ({"answer": "552 too large"}, "expected the mail to be taken, found: 552 too large"),
        (
            {"refused": {"me@example.org", "you@example.org"}},
            "expected a mailbox that the server takes mail for, found: 550 no such",
        ),
        ({"ca": ""}, "expected a certificate of 127.0.0.1, found: self"),
    ],
)
def test_what_is_wrong_is_one_clear_line_and_the_rows_wait(tmp_path, office, caplog, change, said):
    office.answer, office.refused = change.get("answer", ""), change.get("refused", set())
    address = office.url("&every=1", password=change.get("password", PASSWORD))
    address = address.replace(f"&ca={office.files[0]}", "") if "ca" in change else address
    with open_sink(address, context(tmp_path)) as sink:
        sink.write(frame(crossing(1)))
        assert wait_until(lambda: said in problem(sink))
        assert sink.queues[0].rows == 1
    lines = [record for record in caplog.records if record.msg == "output waits" and hasattr(record, "problem")]
    assert len(lines) == 1
    assert "wrong-pass" not in lines[0].problem + sink.address
    assert office.mails == []


def test_a_mailbox_that_is_refused_does_not_hold_up_the_others(tmp_path, office, caplog):
    office.refused = {"me@example.org"}
    with open_sink(office.url(), context(tmp_path, live=False)) as sink:
        sink.write(frame(crossing(1)))
    assert office.recipients == [["you@example.org"]]
    [record] = [record for record in caplog.records if record.msg == "mail not for all"]
    assert record.problem.endswith("found 1 that it refused")


def test_many_events_are_several_mails(tmp_path, office, monkeypatch):
    monkeypatch.setattr(mail_module.MailReceiver, "batch", 60)
    with open_sink(office.url(), context(tmp_path, live=False)) as sink:
        sink.write(frame(*(crossing(number) for number in range(100))))
    assert [len(rows(mail)) for mail in office.mails] == [60, 40]
    text = text_of(office.mails[0])
    assert "The latest:" in text
    assert text.count("number ") == 50


def test_names_cannot_make_headers_or_lines(tmp_path, office):
    name = "gate\r\nBcc: all@example.org\u2028x"
    with open_sink(office.url(), context(tmp_path, live=False, stream=name)) as sink:
        sink.write(frame(crossing(1, place="door\nBcc: y")))
    [mail] = office.mails
    assert mail["Bcc"] is None
    assert "\\r\\nBcc: all@example.org\\u2028x: 1 event" in mail["Subject"]
    assert "crossing, door\\nBcc: y, in, person" in text_of(mail)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("smtp://u:s3cret@host?to=a@b", "expected a mailbox in from, found 'nothing'"),
        ("smtp://u:s3cret@host?from=a@b&to=a@b,c", "expected mailboxes, divided by commas, in to, found 'a@b,c'"),
        ("smtp://u:s3cret@host?from=a@b%0ABcc:x@y&to=a@b", "expected a mailbox in from"),
        ("smtp://u:s3cret@host?from=a@b&to=a@b&every=0.5", "expected every as seconds from 1 to 86400, found '0.5'"),
        ("smtp://u:s3cret@host?from=a@b&to=a@b&tls=off", "expected TLS for a login, found tls=off with a user"),
        ("smtps://u:s3cret@host?from=a@b&to=a@b&tls=off", "expected tls=off with smtp:// or nothing"),
        ("smtp://u:s3cret@host?from=a@b&to=a@b&ca=none.pem", "expected certificates and keys in PEM in none.pem"),
        ("smtp://u:s3cret@host?from=a@b&to=a@b&subject=x", "expected options from, to, every, alerts, kinds, tls, ca"),
    ],
)
def test_wrong_addresses_are_told_at_once_without_secrets(tmp_path, address, said):
    with pytest.raises(ConfigError) as caught:
        open_sink(address, context(tmp_path))
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)
