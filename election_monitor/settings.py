"""Settings: one file, every value from the environment, with a default that works.

Standard names are bare (`DATABASE_URL`), the project's own begin with
`ELECTION_MONITOR_`. `docs/operations.md` lists them all.
"""

import os
from datetime import timedelta
from pathlib import Path

import django_stubs_ext
import environ
from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from election_monitor import embedded
from election_monitor.environment import (
    broker_url,
    count,
    flag,
    named,
    origin_of,
    origins,
    rate_of,
    rates,
    seconds,
    url,
    writable_folder,
)
from election_monitor.logs import logging_config
from election_monitor.secret import secret_key
from elections.roles import Role

# Lets classes such as ModelAdmin name their model in brackets at run time.
django_stubs_ext.monkeypatch()

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent

OWN_PREFIX = "ELECTION_MONITOR_"
OWN_NAMES = {
    "CHUNK_ROWS",
    "CHUNK_FILES",
    "API_BATCH_BYTES",
    "API_BATCH_ROWS",
    "UPLOAD_BYTES",
    "BACK_PRESSURE_SECONDS",
    "CACHE_REDIS_URL",
    "ELECTION_LAG_SECONDS",
    "EVENT_STREAM_LENGTH",
    "LIVE_LISTENERS",
    "LIVE_TICKET_SECONDS",
    "MINUTE_RETENTION_HOURS",
    "SILENT_AFTER_MINUTES",
    "TRUSTED_PROXIES",
    "UPDATE_AGEING_SECONDS",
    "UPDATE_ATTEMPTS",
    "UPDATE_BACKOFF_SECONDS",
    "UPDATE_LEASE_SECONDS",
    "WEBHOOK_PRIVATE_HOSTS",
    "WEBHOOK_RETENTION_DAYS",
}
unknown = sorted(
    name
    for name in os.environ
    if name.startswith(OWN_PREFIX) and name.removeprefix(OWN_PREFIX) not in OWN_NAMES
)
if unknown:
    known = ", ".join(OWN_PREFIX + name for name in sorted(OWN_NAMES))
    raise ImproperlyConfigured(
        f"Unknown setting {', '.join(unknown)} in the environment. Known: {known}."
    )

DEBUG = flag("DEBUG", default=False)
VAR_DIR = Path(env.str("VAR_DIR", default="") or BASE_DIR / "var").resolve()
# Files on their way in. Django wants it to exist; the system's own is outside VAR_DIR.
FILE_UPLOAD_TEMP_DIR = writable_folder("VAR_DIR", VAR_DIR / "uploads")

# Embedded services ---------------------------------------------------------------
# Without a URL the project runs PostgreSQL and Redis of its own below VAR_DIR.
EMBEDDED_POSTGRES = not url("DATABASE_URL", schemes=["postgresql", "postgres"])
EMBEDDED_REDIS = not url("REDIS_URL", schemes=["redis", "rediss", "unix"])

# A server that vanishes without a word (its machine, the network) is given up after a
# minute, not after the two hours of the system.
DATABASE_OPTIONS = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
DATABASE = env.db_url_config(
    embedded.database_url(VAR_DIR) if EMBEDDED_POSTGRES else env.str("DATABASE_URL")
)
DATABASES = {
    # A loader holds its connection for the whole import; the web process reuses its
    # own for a minute, and drops it when the server went away in between.
    "default": DATABASE
    | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    | {"OPTIONS": DATABASE_OPTIONS | DATABASE.get("OPTIONS", {})}
}
REDIS_URL = embedded.redis_url(VAR_DIR) if EMBEDDED_REDIS else env.str("REDIS_URL")

# Secrets and hosts ---------------------------------------------------------------
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY and (DEBUG or (EMBEDDED_POSTGRES and "DEBUG" not in os.environ)):
    SECRET_KEY = secret_key(VAR_DIR)
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "Set SECRET_KEY to a long random value: with DEBUG=0 or a DATABASE_URL there "
        "is no default for it."
    )
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=LOCAL_HOSTS)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Front ends elsewhere, by list. They read, or use a token: the cookies stay at home.
CORS_ALLOWED_ORIGINS = origins("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [*default_headers, "if-none-match"]
CORS_EXPOSE_HEADERS = [
    *("etag", "retry-after", "x-cache"),
    # Of files.
    *("content-disposition", "x-as-of", "x-coverage", "x-is-simulated"),
]
API_PUBLIC_READ = flag("API_PUBLIC_READ", default=EMBEDDED_POSTGRES)

INSTALLED_APPS = [
    "elections",
    "transactions",
    "metrics",
    "anomalies",
    "dashboard",
    "election_monitor",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "knox",
    "corsheaders",
    "axes",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "import_export",
    "pgtrigger",
    "pghistory",
    "django_structlog",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "election_monitor.middleware.refuse_nul",
    "election_monitor.middleware.remember_who",
    "axes.middleware.AxesMiddleware",
    # Last: who asks is known, and nothing else is left to do for a hit.
    "metrics.api.answers.AnswerCache",
]

ROOT_URLCONF = "election_monitor.urls"
WSGI_APPLICATION = "election_monitor.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# A Redis that hangs must not hold an answer: redis-py waits for seconds and retries ten
# times by default.
CACHE_OPTIONS = {
    "SOCKET_CONNECT_TIMEOUT": 0.2,
    "SOCKET_TIMEOUT": 0.3,
    "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0)},
}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": CACHE_OPTIONS,
    },
    # Answers, see metrics/cache. By a name of its own, since django-redis shares the
    # connections of equal addresses.
    "metrics": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": named(
            env.str("ELECTION_MONITOR_CACHE_REDIS_URL", default="") or REDIS_URL,
            "election-monitor-answers",
        ),
        "KEY_PREFIX": "answers",
        "OPTIONS": CACHE_OPTIONS
        | {"CLIENT_CLASS": "metrics.cache.redis_client.BytesClient"},
    },
}
# What is said of whole elections may be this old: they change with every chunk, and no
# answer would be found in the cache while many ask. 0 is exact.
ELECTION_LAG_SECONDS = seconds("ELECTION_MONITOR_ELECTION_LAG_SECONDS", default=0.5)

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

AUTHENTICATION_BACKENDS = [
    # First: refuses a login that is locked before a password is looked at.
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# Of one name from one address, so nobody can lock others out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "election_monitor.pages.locked_out"
AXES_CLIENT_IP_CALLABLE = "election_monitor.clients.client_address"
AXES_VERBOSE = False
CSRF_FAILURE_VIEW = "election_monitor.pages.csrf_failed"
# Tokens of machines, made in the admin. Their end is stated there.
KNOX_TOKEN_MODEL = "elections.MachineToken"  # noqa: S105
# The library's own table is not used, so it is not made.
MIGRATION_MODULES = {"knox": None}
REST_KNOX = {"TOKEN_TTL": None, "AUTH_HEADER_PREFIX": "Token"}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
MEDIA_ROOT = VAR_DIR / "media"

# A page with its tables asks some ten times when it opens, and then once a second.
# Nobody but this machine reaches the embedded default.
USUAL_RATES = {"anonymous": "120/min", Role.VIEWER: "600/min", Role.OBSERVER: "600/min"}
THROTTLE_RATES = rates(
    "THROTTLE_RATES",
    default={
        name: None if EMBEDDED_POSTGRES else rate_of(USUAL_RATES.get(name, "1200/min"))
        for name in ("anonymous", *(role.value for role in Role))
    },
)

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["drf_orjson_renderer.renderers.ORJSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["election_monitor.api.JsonParser"],
    # The first one also says how to sign in, which makes a refusal 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "elections.api.authentication.TokenAuthentication",
        "elections.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["elections.api.permissions.PublicOrViewer"],
    "DEFAULT_THROTTLE_CLASSES": ["election_monitor.throttles.RoleThrottle"],
    "DEFAULT_PAGINATION_CLASS": "election_monitor.api.Pagination",
    "DEFAULT_FILTER_BACKENDS": [
        "election_monitor.api.FilterBackend",
        "election_monitor.api.StrictOrderingFilter",
        "rest_framework.filters.SearchFilter",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "election_monitor.api.ContentNegotiation",
    "DEFAULT_SCHEMA_CLASS": "election_monitor.schema.Schema",
    "EXCEPTION_HANDLER": "election_monitor.api.exception_handler",
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Election Monitor",
    "DESCRIPTION": (BASE_DIR / "election_monitor" / "api_introduction.md").read_text(),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    # A file is bytes on its way in.
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "ConstituencyStatusEnum": "elections.models.ConstituencyStatus",
        "AlertStatusEnum": "anomalies.models.AlertStatus",
        "AlertSeverityEnum": "anomalies.models.Severity",
    },
}

# Update queue --------------------------------------------------------------------
# Times an update is begun before staff have to look at it.
UPDATE_ATTEMPTS = count("ELECTION_MONITOR_UPDATE_ATTEMPTS", default=5)
# Pause after the first failure; twice as long after each further one.
UPDATE_BACKOFF_SECONDS = count("ELECTION_MONITOR_UPDATE_BACKOFF_SECONDS", default=2)
# A worker that does not finish within this time is taken for dead.
UPDATE_LEASE_SECONDS = count("ELECTION_MONITOR_UPDATE_LEASE_SECONDS", default=60)
# An update that waits rises by one priority in this time.
UPDATE_AGEING_SECONDS = count("ELECTION_MONITOR_UPDATE_AGEING_SECONDS", default=60)
# When the oldest update that is due has waited so long, API batches have to wait too.
BACK_PRESSURE_SECONDS = count("ELECTION_MONITOR_BACK_PRESSURE_SECONDS", default=60)

# Live events ---------------------------------------------------------------------
# Embedded not in the cache's database, which may be flushed; with a REDIS_URL there is
# one for all.
EVENTS_REDIS_URL = (
    f"unix://{embedded.redis_socket(VAR_DIR)}?db=2" if EMBEDDED_REDIS else REDIS_URL
)
# Events kept per election, for listeners that come back.
EVENT_STREAM_LENGTH = count("ELECTION_MONITOR_EVENT_STREAM_LENGTH", default=10_000)
# One process holds as many; a further one gets 503.
LIVE_LISTENERS = count("ELECTION_MONITOR_LIVE_LISTENERS", default=5_000)
# A ticket opens a stream for so long.
LIVE_TICKET_SECONDS = count("ELECTION_MONITOR_LIVE_TICKET_SECONDS", default=300)

# Webhooks ------------------------------------------------------------------------
# Whether they may lead to this machine or into its network, where an address that was
# typed in could reach what nobody else does. On a machine of one's own that is the test.
WEBHOOK_PRIVATE_HOSTS = flag(
    "ELECTION_MONITOR_WEBHOOK_PRIVATE_HOSTS", default=DEBUG or EMBEDDED_POSTGRES
)
# Deliveries that were sent or given up are kept for so long after their last attempt.
WEBHOOK_RETENTION_DAYS = count("ELECTION_MONITOR_WEBHOOK_RETENTION_DAYS", default=30)

# Celery: only a wake-up, the outbox is the queue --------------------------------
CELERY_BROKER_URL = broker_url(
    f"unix://{embedded.redis_socket(VAR_DIR)}?db=1" if EMBEDDED_REDIS else REDIS_URL
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 30, "socket_keepalive": True}
# A broker that is away must not hold up who sends: the sweep makes up for it.
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = "updates"
CELERY_TASK_ROUTES = {"transactions.*": {"queue": "import"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_DISABLE_PREFETCH = True
# What is stopped by these hangs. A round of updates begins nothing after half a minute, but
# one of them may read a whole ledger or judge a whole election, which takes minutes.
CELERY_TASK_ANNOTATIONS = {
    "metrics.process_updates": {"time_limit": 900},
    "metrics.refresh_active_elections": {"time_limit": 240},
    "metrics.watch_feeds": {"time_limit": 240},
}
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
# Each is harmless when it runs twice, late or never: see metrics/tasks.py.
CELERY_BEAT_SCHEDULE = {
    task: {
        "task": task,
        "schedule": seconds,
        # What could not start in time is made up for by the next one. A worker goes by its
        # own clock here, which may be ahead of the one of beat.
        "options": {"expires": max(seconds, 60)},
    }
    for task, seconds in {
        "metrics.process_updates": 5,
        "metrics.refresh_active_elections": 60,
        "metrics.watch_feeds": 60,
        "metrics.prune": 300,
        "metrics.verify_sample": 3_600,
        "transactions.resume_uploads": 60,
        "anomalies.evaluate_active_elections": 300,
        "anomalies.send_deliveries": 10,
        "anomalies.prune": 3_600,
    }.items()
}

# Behind HTTPS, which whoever serves a real election under a name of its own has. On this
# machine alone (`make run` with a DATABASE_URL) nobody answers by HTTPS.
HAS_OWN_NAME = not set(ALLOWED_HOSTS) <= set(LOCAL_HOSTS)
# Where browsers reach the live process. On this machine alone it has a port of its own;
# behind a proxy it has the name of the pages, and addresses are relative.
PORT = os.environ.get("PORT", "")
LIVE_PORT = int(PORT) + 1 if PORT.isascii() and PORT.isdigit() else 8001
LIVE_URL = url("LIVE_URL", schemes=["http", "https"]).rstrip("/") or (
    "" if HAS_OWN_NAME else f"http://127.0.0.1:{LIVE_PORT}"
)
IS_PUBLIC = HAS_OWN_NAME and not DEBUG and not EMBEDDED_POSTGRES
SECURE_SSL_REDIRECT = IS_PUBLIC
# Health checks come from inside, by plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^health/"]
# Proxies in front that say in X-Forwarded-For whom they were called by: TLS needs one.
TRUSTED_PROXIES = count(
    "ELECTION_MONITOR_TRUSTED_PROXIES", default=1 if IS_PUBLIC else 0, smallest=0
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000 if IS_PUBLIC else 0
# Both bind every other host of a domain, and preloading for months: a matter for whoever
# owns the domain, in the proxy.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SESSION_COOKIE_SECURE = IS_PUBLIC
CSRF_COOKIE_SECURE = IS_PUBLIC

# Browser security ----------------------------------------------------------------
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        # A view whose page needs inline styles says so itself, by `csp_update`.
        "style-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "connect-src": ["'self'", *origin_of(LIVE_URL)],
    }
}
IMPORT_EXPORT_ESCAPE_FORMULAE_ON_EXPORT = True
# Below MEDIA_ROOT between trial and confirmation: the default is the system's /tmp.
IMPORT_EXPORT_TMP_STORAGE_CLASS = "import_export.tmp_storages.MediaStorage"

# Loader -------------------------------------------------------------------------
# One database transaction loads this many lines, or this many files, at most: their
# constituencies are locked for about a quarter of a second.
CHUNK_ROWS = count("ELECTION_MONITOR_CHUNK_ROWS", default=20_000)
CHUNK_FILES = count("ELECTION_MONITOR_CHUNK_FILES", default=500)
# Rows of one request, and its bytes: ten thousand rows with long keys take 5 MB.
API_BATCH_ROWS = count("ELECTION_MONITOR_API_BATCH_ROWS", default=10_000)
API_BATCH_BYTES = count("ELECTION_MONITOR_API_BATCH_BYTES", default=16 << 20)
# A federal election packs its day into less.
UPLOAD_BYTES = count("ELECTION_MONITOR_UPLOAD_BYTES", default=2 << 30)

# Minutes of single constituencies are kept this long; hours are kept for ever.
MINUTE_RETENTION_HOURS = count("ELECTION_MONITOR_MINUTE_RETENTION_HOURS", default=24)
# A feed is silent, and a file late, after this time without what had to come: hour files
# come some minutes after their hour, so an hour and a half is one missing file.
SILENT_AFTER_MINUTES = count("ELECTION_MONITOR_SILENT_AFTER_MINUTES", default=90)

LOG_FORMAT = env.str("LOG_FORMAT", default="console")
LOGGING = logging_config(LOG_FORMAT)
