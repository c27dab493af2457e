"""Loaded once by the process that workers are forked from: it takes more than a second.

Imports only. Neither a connection nor the threads of polars would survive the fork.
"""

import django

django.setup()

from transactions import services  # noqa: E402, F401 - needs the apps
