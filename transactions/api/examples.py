"""Answers and questions as the schema shows them."""

from transactions.formats.reasons import Reason

CONTRACT_ID = "CJ9vdyteoijMZrUXjhfTymUGP6JM11111112"
TX_ID = "65dbCvBYFyeuyH5Nmk2gPTFRjK7Q5gQqDMhNyKxLJwcZ"
SENDER = "6b51d431df5d7f141cbececcf79edf3d"

LEDGER_ROW = {
    "constituency": CONTRACT_ID,
    "tx_id": TX_ID,
    "timestamp": "2026-09-18T06:10:00.250000Z",
    "operation": "vote_cast",
    "outcome": "accepted",
    "quantity": 1,
    "sender": SENDER,
    "uik": "90-1734",
    "batch": 4711,
    "rolled_back": False,
    "counted": True,
}
POSTED_ROW = {
    "constituency": CONTRACT_ID,
    "tx_id": TX_ID,
    "timestamp": "2026-09-18T09:10:00.250+03:00",
    "operation": "vote_cast",
    "outcome": "accepted",
    "sender": "4Xk9…",
    "uik": "90-1734",
}
POSTED_ROWS = {"transactions": [POSTED_ROW, {**POSTED_ROW, "timestamp": "yesterday"}]}
POSTED_ANSWER = {
    "batch": 4711,
    "accepted": 1,
    "duplicate": 0,
    "conflicting": 0,
    "rejected": [
        {
            "index": 1,
            "code": Reason.TIMESTAMP_NOT_UNDERSTOOD.code,
            "message": Reason.TIMESTAMP_NOT_UNDERSTOOD.sentence(),
        }
    ],
}
IMPORT_BATCH = {
    "id": 4711,
    "kind": "portal_hour",
    "name": f"{CONTRACT_ID}_2026-09-18_0900-1000.zip",
    "status": "loaded",
    "error_code": "",
    "error": "",
    "upload": 4710,
    "files": None,
    "files_done": None,
    "constituency": CONTRACT_ID,
    "election": "duma-2026",
    "interval": "2026-09-18T06:00:00Z",
    "rows_read": 70,
    "accepted": 68,
    "duplicate": 1,
    "conflicting": 0,
    "rejected": 1,
    "vanished": 0,
    "outside_interval": 0,
    "size_bytes": 41893,
    "started_at": "2026-09-18T07:04:58.120000Z",
    "finished_at": "2026-09-18T07:04:58.310000Z",
}
REJECTED_ROW = {
    "id": 17,
    "batch": 4711,
    "file": IMPORT_BATCH["name"],
    "line": 12,
    "code": Reason.TIMESTAMP_NOT_A_NUMBER.code,
    "message": Reason.TIMESTAMP_NOT_A_NUMBER.sentence(),
    "raw": "65dbCvBY…;yesterday;…",
    "is_cut": False,
    "is_resolved": False,
}
STATEMENT = {
    "timestamp": "2026-09-18T06:10:00.250+00:00",
    "operation": "vote_cast",
    "outcome": "accepted",
    "quantity": 1,
    "sender": SENDER,
    "payload": "0f6d7a3c19e58b42",
    "polling_station": "90-1734",
    "rolled_back": False,
}
CONFLICTING_ROW = {
    "id": 18,
    "batch": 4711,
    "file": IMPORT_BATCH["name"],
    "line": 13,
    "kind": "content",
    "constituency": CONTRACT_ID,
    "tx_id": TX_ID,
    "stored_batch": 4700,
    "stored": STATEMENT,
    "incoming": {**STATEMENT, "quantity": 2},
}
VANISHED_ROW = {
    "id": 19,
    "batch": 4711,
    "file": IMPORT_BATCH["name"],
    "constituency": CONTRACT_ID,
    "tx_id": TX_ID,
    "earlier_batch": 4700,
    "earlier_version": 1,
}
