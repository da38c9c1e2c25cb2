"""Tokens and scripts, for real: each client ends as its token deserves, and the log knows no token."""

import pytest

from tests.simulation.playing import by_client, of, plan, played
from vuemantics_ws.simulation.log import Authenticated, Closed, Opened, Received, Sent, to_ndjson

pytestmark = pytest.mark.slow


def test_every_token_gets_its_close_code_and_on_time() -> None:
    report, log = played(
        plan(
            """\
            server: {config: {grace: 200ms, drain: 0, auth_timeout: 500ms, jwt_algorithm: HS512, jwt_audience: tabs}}
            users: {alice: {}}
            uploads: [{id: up, owner: alice, start: 100ms, pipeline: [{stage: queued, for: 100ms}]}]
            clients:
              - {id: none, user: alice, token: none}
              - {id: expired, user: alice, token: expired}
              - {id: not-yet-valid, user: alice, token: not_yet_valid}
              - {id: wrong-signature, user: alice, token: wrong_signature}
              - {id: alg-none, user: alice, token: alg_none}
              - {id: refresh, user: alice, token: refresh}
              - {id: no-expiry, user: alice, token: no_expiry}
              - {id: no-user, user: alice, token: no_user}
              - {id: garbage, user: alice, token: garbage}
              - {id: short, user: alice, token: {ttl: 1s}, reconnect: {initial: 100ms, jitter: 0s}}
              - {id: good, user: alice}
            expect:
              - close: {clients: none, codes: [4001], between: 490ms..900ms}
              - close:
                  clients: [expired, not-yet-valid, wrong-signature, alg-none, refresh, no-expiry, no-user, garbage]
                  codes: [4003]
                  within: 500ms
                  max_reconnects: 0
              - close: {clients: short, codes: [4005, 1000]}
              - terminal: {clients: [good, short], within: 1s}
            """
        )
    )

    assert report.broken() == []
    words = {name: [record.words for record in by_client(log, Received, name)] for name in ("none", "expired", "garbage")}
    assert words == {"none": ["Authentication timeout"], "expired": ["Token expired"], "garbage": ["Invalid token"]}
    first, *_ = by_client(log, Closed, "short")
    opened = next(record for record in of(log, Opened) if record.connection == first.connection)
    assert first.code == 4005
    assert 1.0 <= first.at - opened.at < 1.5
    welcome = {record.connection for record in of(log, Authenticated)}
    assert [opened.connection in welcome for opened in of(log, Opened) if opened.client == "short"][:2] == [True, True]
    assert b"eyJ" not in to_ndjson(log)


def test_an_end_that_comes_late_is_waited_for_and_nothing_else_is() -> None:
    report, _ = played(
        plan(
            """\
            server: {config: {grace: 0, drain: 0, auth_timeout: 3s}}
            users: {alice: {}}
            clients: [{id: silent, user: alice, token: none}]
            expect: [{close: {clients: silent, codes: [4001], between: 2900ms..4s}}]
            """,
            duration="1m",
        )
    )

    assert report.expectations[0].verdict == "held"
    assert 3.0 < report.lasted_s < 6.0


def test_scripts_replace_the_authentication_and_end_in_an_ordinary_tab() -> None:
    report, log = played(
        plan(
            """\
            server: {config: {grace: 200ms, drain: 0}}
            users: {alice: {}}
            uploads: [{id: up, owner: alice, start: 1s, pipeline: [{stage: queued, for: 200ms}]}]
            clients:
              - {id: rude, user: alice, script: [{send: {action: subscribe_upload, upload_id: up}}]}
              - {id: garbage, user: alice, script: [{send_raw: "{not json"}]}
              - {id: twice, user: alice, script: [auth, {wait: 300ms}, auth], reconnect: {initial: 50ms, jitter: 0s}}
              - {id: late, user: alice, script: [{wait: 400ms}, auth], subscribe: [up]}
              - {id: nonsense, user: alice, script: [auth, {wait: 100ms}, {send_raw: "[]"}], subscribe: [up]}
            expect:
              - close: {clients: rude, codes: [4002], within: 1s}
              - close: {clients: garbage, codes: [4004], within: 1s}
              - terminal: {clients: [late, nonsense], within: 1s}
            """
        )
    )

    assert [finding for finding in report.broken() if finding.name != "no residue"] == []
    assert [record.code for record in by_client(log, Closed, "twice")][:2] == [4006, 4006], "each reconnect plays it anew"
    assert by_client(log, Received, "rude")[0].words == "Authentication required"
    late = next(opened for opened in of(log, Opened) if opened.client == "late")
    asked = next(record for record in of(log, Sent) if record.connection == late.connection)
    assert asked.at - late.at >= 0.4
    assert [record.code for record in by_client(log, Received, "nonsense") if record.action == "error"] == ["bad_message"]


def test_a_script_that_still_waits_when_its_tab_goes_is_over() -> None:
    _, log = played(
        plan(
            """\
            server: {config: {grace: 0, drain: 0}}
            users: {alice: {}}
            clients: [{id: tab, user: alice, script: [auth, {wait: 30s}, auth], leave: {after: 200ms}}]
            """,
            duration="1s",
        )
    )

    assert [record.code for record in of(log, Closed)] == [1000]
