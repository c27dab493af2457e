"""Answers and questions as the schema shows them."""

REGION = {"code": "90", "name": "Пермский край", "timezone": "Asia/Yekaterinburg"}
COUNTS = {
    "bulletins_issued": 6,
    "votes_cast": 5,
    "revotes": 1,
    "transaction_count": 13,
    "failed_count": 1,
}
ELECTION = {
    "slug": "duma-2026",
    "name": "Выборы депутатов Государственной Думы",
    "kind": "federal",
    "timezone": "Europe/Moscow",
    "starts_at": "2026-09-18T05:00:00Z",
    "ends_at": "2026-09-20T17:00:00Z",
    "status": "active",
    "description": "",
    "is_simulated": False,
    "as_of": "2026-09-18T12:50:00Z",
    **COUNTS,
    "register_entries": 10,
    "register_constituency_count": 1,
    "constituency_count": 3,
    "version": 812,
}
CONSTITUENCY = {
    "contract_id": "CJ9vdyteoijMZrUXjhfTymUGP6JM11111112",
    "name": "Одномандатный избирательный округ № 58",
    "election": "duma-2026",
    "region": "90",
    "district": "Округ № 58",
    "status": "active",
    "timezone": "Asia/Yekaterinburg",
    "is_simulated": False,
    "registered_voters": 10,
    **COUNTS,
    "participation_rate": 50.0,
    "anomaly_count": 0,
    "anomaly_score": None,
    "last_transaction_at": "2026-09-18T12:50:00Z",
    "metrics_updated_at": "2026-09-18T13:05:00Z",
    "version": 17,
}
LOGIN = {"username": "anna", "password": "correct horse battery staple"}
ME = {
    "username": "anna",
    "is_staff": False,
    "roles": ["viewer", "observer"],
    "public_read": True,
}
