"""The live process: `uvicorn election_monitor.asgi:application`.

Streams only; everything else is answered by wsgi.py.
"""

import os
import resource

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "election_monitor.settings")
django.setup(set_prefix=False)

from dashboard.live.handler import LiveHandler  # noqa: E402 needs the settings

# A listener is an open file, and many systems allow a thousand unless asked for more.
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

application = LiveHandler()
