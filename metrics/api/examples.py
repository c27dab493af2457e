"""Answers as the schema shows them."""

from typing import Any

PROVENANCE: dict[str, Any] = {
    "as_of": "2026-09-18T12:50:00Z",
    "coverage": {"received": 4, "expected": 4},
    "is_simulated": False,
}
REAL = {**PROVENANCE, "live_id": "1789714200000-0"}
COUNTS = {
    "bulletins_issued": 6,
    "votes_cast": 5,
    "revotes": 1,
    "transaction_count": 13,
    "failed_count": 1,
}
PLACE = {
    "contract_id": "CJ9vdyteoijMZrUXjhfTymUGP6JM11111112",
    "election": "duma-2026",
    "name": "Одномандатный избирательный округ № 58",
    "timezone": "Asia/Yekaterinburg",
}
ELECTION_NAMED = {
    "slug": "duma-2026",
    "name": "Выборы депутатов Государственной Думы",
    "timezone": "Europe/Moscow",
}
ACTIVITY = {
    "bulletins_issued": 3,
    "votes_cast": 2,
    "transaction_count": 6,
    "completed_hours": 1,
    "average_bulletins_per_hour": 3.0,
    "average_votes_per_hour": 2.0,
}
METRICS = {
    **COUNTS,
    "participation_rate": 50.0,
    "anomaly_count": 0,
    "abandonment_rate": 16.666666666666668,
    "average_votes_per_hour": 2.0,
    "average_bulletins_per_hour": 1.6666666666666667,
    "peak_hour": "2026-09-18T10:00:00Z",
    "peak_hour_votes": 4,
    "vote_velocity_trend": -1.0,
    "bulletin_velocity_trend": -1.5,
    "completed_hours": 3,
    "missing_hours": 0,
    "hourly_activity": [{**ACTIVITY, "hour_of_day": 9}],
}
PERIOD = {
    **COUNTS,
    "start": "2026-09-17T21:00:00Z",
    "end": "2026-09-18T21:00:00Z",
    "participation_rate": 50.0,
    "cumulative_participation_rate": 50.0,
    "complete": False,
}
PERIODS = {**REAL, "period": "day", "results": [PERIOD]}
PATTERN = {
    **REAL,
    "by_hour_of_day": [{**ACTIVITY, "hour_of_day": 9}],
    "by_weekday": [{**ACTIVITY, "weekday": 5}],
}

COMPARED = {
    **PROVENANCE,
    **METRICS,
    **PLACE,
    "registered_voters": 10,
    "anomaly_score": None,
    "version": 17,
}
CONSTITUENCY = {**COMPARED, **REAL}
CONSTITUENCY_PERIODS = {**PERIODS, **PLACE}
CONSTITUENCY_PATTERN = {**PATTERN, **PLACE}
COMPARISON = {**REAL, "results": [COMPARED]}

REGISTERS = {
    "version": 812,
    "register_entries": 10,
    "register_constituency_count": 1,
    "constituency_count": 3,
    "active_constituency_count": 2,
    "silent_constituency_count": 0,
}
ELECTION = {**REAL, **METRICS, **ELECTION_NAMED, **REGISTERS}
ELECTION_PERIODS = {**PERIODS, **ELECTION_NAMED}
ELECTION_PATTERN = {**PATTERN, **ELECTION_NAMED}
TIMELINE = {
    **REAL,
    **ELECTION_NAMED,
    "bucket": "5m",
    "results": [
        {
            **COUNTS,
            "start": "2026-09-18T09:10:00Z",
            "end": "2026-09-18T09:15:00Z",
            "complete": True,
        }
    ],
}
WINDOWS = {
    **REAL,
    **ELECTION_NAMED,
    "now": "2026-09-18T13:05:12Z",
    "windows": [
        {
            **COUNTS,
            "window": "5m",
            "start": "2026-09-18T12:46:00Z",
            "end": "2026-09-18T12:51:00Z",
            "bulletin_velocity": 90.0,
            "vote_velocity": 75.0,
        }
    ],
}
TABLE = {
    **REAL,
    **ELECTION_NAMED,
    "count": 2,
    "columns": ["contract_id", "votes_cast", "version"],
    "data": {
        "contract_id": [
            "CJ9vdyteoijMZrUXjhfTymUGP6JM11111112",
            "CJ9vdyteoijMZrUXjhfTymUGP6JM11111113",
        ],
        "votes_cast": [5, 0],
        "version": [17, 1],
    },
}
MEMBERS = {
    **PLACE,
    "region": "90",
    "district": "Округ № 58",
    "status": "active",
    "is_simulated": False,
    "registered_voters": 10,
    **COUNTS,
    "participation_rate": 50.0,
    "anomaly_count": 0,
    "anomaly_score": None,
    "last_transaction_at": "2026-09-18T12:50:00Z",
    "metrics_updated_at": "2026-09-18T13:05:00Z",
    "abandonment_rate": 16.666666666666668,
    "version": 17,
}
HOURLY_STATS = {
    "constituency": "CJ9vdyteoijMZrUXjhfTymUGP6JM11111112",
    "election": "duma-2026",
    "is_simulated": False,
    "hour": "2026-09-18T09:00:00Z",
    "timestamp": "2026-09-18T10:05:00Z",
    **COUNTS,
    "bulletin_velocity": 6.0,
    "vote_velocity": 5.0,
    "participation_rate": 50.0,
    "anomaly_count": 0,
}

ACTIVE_ELECTION = {
    **PROVENANCE,
    **ELECTION_NAMED,
    **COUNTS,
    **REGISTERS,
    "starts_at": "2026-09-18T05:00:00Z",
    "ends_at": "2026-09-20T17:00:00Z",
    "participation_rate": 50.0,
}
SUMMARY = {**REAL, "elections": [ACTIVE_ELECTION]}
DETAILED = {
    **SUMMARY,
    "top_movers": [
        {
            "election": "duma-2026",
            "contract_id": PLACE["contract_id"],
            "name": PLACE["name"],
            "hour": "2026-09-18T11:00:00Z",
            "bulletins_issued": 3,
            "votes_cast": 2,
            "participation_rate": 20.0,
        }
    ],
    "silent_feeds": [
        {
            "election": "duma-2026",
            "contract_id": "CJ9vdyteoijMZrUXjhfTymUGP6JM11111113",
            "status": "offline",
            "silent_since": "2026-09-18T10:00:00Z",
        }
    ],
    "alerts": [
        {
            "id": 12,
            "rule": "S01",
            "title": "Unusual flow",
            "severity": "critical",
            "status": "active",
            "election": PLACE["election"],
            "constituency": PLACE["contract_id"],
            "started_hour": "2026-09-18T07:00:00Z",
            "ended_hour": "2026-09-18T07:00:00Z",
            "q": 1.3e-41,
            "excess": 167.4,
            "version": 1,
        }
    ],
}

CACHE = {
    "is_usable": True,
    "hits": 940,
    "misses": 60,
    "hit_rate": 0.94,
    "entries": 41,
    "tags": [
        {"tag": "all", "age_seconds": 86400.0},
        {"tag": "election:duma-2026", "age_seconds": 0.4},
    ],
}
INVALIDATION = {"tags": ["election:duma-2026"]}
INVALIDATED = {"invalidated": ["election:duma-2026"], "is_done": True}

MANUAL_UPDATE = {"election": "duma-2026"}
UPDATE = {
    "id": 815,
    "scope": "election:3",
    "trigger": "manual",
    "priority": 0,
    "status": "pending",
    "requests": 1,
    "attempts": 0,
    "requested_at": "2026-09-18T12:50:00Z",
    "available_at": "2026-09-18T12:50:00Z",
    "finished_at": None,
    "error": "",
}
