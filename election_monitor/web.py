"""Settings of the web server: `gunicorn --config python:election_monitor.web`."""

import os
from pathlib import Path

from election_monitor.logs import logging_config

wsgi_app = "election_monitor.wsgi"
bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = 2
threads = 8
# Below the ten seconds in which everything has to stop.
graceful_timeout = 6
# Heartbeats are files: on a busy disk a worker would look dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
control_socket_disable = True
accesslog = None

# gunicorn sets up its logger before Django does, and by itself would write plain text.
logconfig_dict = logging_config(os.environ.get("LOG_FORMAT") or "console")
logconfig_dict["loggers"] |= {"gunicorn.error": {"propagate": True}}
