# Stands in for the published image of Airflow: the same user, folders and entry point, with Airflow as a Python package.
ARG BASE
FROM ${BASE}
RUN useradd --uid 50000 --gid 0 --create-home --shell /bin/bash airflow \
    && install -d -o airflow -g 0 -m 775 /opt/airflow /opt/airflow/dags /opt/airflow/logs /opt/airflow/plugins
USER airflow
ENV AIRFLOW_HOME=/opt/airflow PATH=/home/airflow/.local/bin:$PATH
# The published image has the packages that were there when this Airflow was released, older than those of the tests.
ARG AIRFLOW_VERSION=3.3.2
ARG RELEASED_BEFORE=2026-09-18
RUN python -m venv /home/airflow/.local \
    && python -m pip install --no-cache-dir --quiet --upgrade pip \
    && python -m pip install --no-cache-dir --quiet --uploaded-prior-to "$RELEASED_BEFORE" \
        "apache-airflow[celery,fab,postgres,statsd]==$AIRFLOW_VERSION"
COPY airflow-entrypoint.sh /entrypoint
WORKDIR /opt/airflow
EXPOSE 8080
ENTRYPOINT ["bash", "/entrypoint"]
