"""Answers and bodies as the schema shows them."""

from typing import Any

EVIDENCE: dict[str, Any] = {
    "series": "votes_cast",
    "hour": "2026-09-19T07:00:00+00:00",
    "windows": [
        {
            "hours": 1,
            "from": "2026-09-19T07:00:00+00:00",
            "counted": 186.0,
            "expected": 18.6,
            "variance": 29.4,
            "scale": 1.0,
            "score": 13.9,
            "p": 6.4e-44,
            "excess_interval": [156.0, 177.0],
        }
    ],
    "dispersion": 0.031,
    "voters": 1682.0,
    "peer_count": 37,
    "tests": 205,
}
ALERT: dict[str, Any] = {
    "id": 12,
    "rule": "S01",
    "severity": "critical",
    "status": "active",
    "election": "duma-2026",
    "constituency": "CJ9vdyteoijMZrUXjhfTymUGP6JM11111112",
    "sentence": "The flow is not what peers and own past lead to expect. 167 ballots more "
    "than there should be, 9.9 % of the register. Of such alerts fewer than 1 in 100 are "
    "expected to be chance. Plain reasons can be: a large employer or a campaign on one "
    "day, an outage and its catch-up.",
    "started_hour": "2026-09-19T07:00:00Z",
    "ended_hour": "2026-09-19T07:00:00Z",
    "statistic": 13.9,
    "p": 6.4e-44,
    "q": 1.3e-41,
    "excess": 167.4,
    "evidence": EVIDENCE,
    "assigned_to": None,
    "reason": "",
    "version": 1,
    "created_at": "2026-09-19T08:00:05Z",
    "changed_at": "2026-09-19T08:00:05Z",
}
NOTE = {
    "author": "vera",
    "text": "The commission says that a factory voted together.",
    "created_at": "2026-09-19T09:15:00Z",
}
VERSION = {
    "change": "found",
    "at": "2026-09-19T08:00:05Z",
    "by": None,
    **{name: ALERT[name] for name in ("severity", "status", "p", "q", "excess")},
    "started_hour": ALERT["started_hour"],
    "ended_hour": ALERT["ended_hour"],
    "assigned_to": None,
    "reason": "",
    "version": 1,
}
ALERT_IN_FULL = {**ALERT, "notes": [NOTE], "history": [VERSION]}
CHANGE = {"version": 1, "status": "investigating", "assigned_to": "vera"}
NEW_NOTE = {"text": NOTE["text"]}
PACKAGE = {
    "alert": ALERT_IN_FULL,
    "hours": [
        {
            "constituency": ALERT["constituency"],
            "hour": "2026-09-19T07:00:00Z",
            "bulletins_issued": 190,
            "votes_cast": 186,
        }
    ],
    "files": [
        {
            "name": "CJ9vdyteoijMZrUXjhfTymUGP6JM11111112_2026-09-19_1000-1100.zip",
            "interval": "2026-09-19T10:00:00Z",
            "version": 1,
            "sha256": "9f" * 32,
        }
    ],
}
EVALUATION: dict[str, Any] = {
    "election": "duma-2026",
    "evaluated_at": "2026-09-19T08:00:05Z",
    "until": "2026-09-19T08:00:00Z",
    "tests": 4120,
    "unverifiable": [
        {
            "rule": "H02",
            "reason": "register_unknown",
            "constituencies": 7,
            "sentence": "Register exceeded: nobody states the register, in 7 constituencies.",
        }
    ],
}
FEED = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">
<title>Alerts: Duma 2026</title>
<link rel="alternate" href="https://monitor.example.org/api/v1/alerts/?election=duma-2026"/>
<link rel="self" href="https://monitor.example.org/api/v1/elections/duma-2026/alerts.atom"/>
<id>urn:uuid:5f0c7b6e-8a0e-5d2a-9a53-0e8f6c9f4b10</id>
<updated>2026-09-19T08:00:05+00:00</updated>
<author><name>Election Monitor</name></author>
<entry>
<title>S01 Unusual flow: District 12 (critical, active)</title>
<link href="https://monitor.example.org/api/v1/alerts/12/" rel="alternate"/>
<published>2026-09-19T08:00:05+00:00</published>
<updated>2026-09-19T08:00:05+00:00</updated>
<id>urn:uuid:2c5e3a0b-1d0e-5c64-8b0f-0a4c2f9b7d21</id>
<category term="S01"/><category term="critical"/><category term="active"/>
<content type="text">The flow is not what peers and own past lead to expect. 167 ballots
more than there should be, 9.9 % of the register.</content>
</entry>
</feed>
"""
