"""The settings of the project, with one more address: the limit of the API."""

from election_monitor.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.web_urls"
