# Stands in for the published image of Airflow: the same user, folders and entry point, with Airflow from PyPI.
ARG BASE
FROM ${BASE}
RUN useradd --uid 50000 --gid 0 --create-home --shell /bin/bash airflow \
    && install -d -o airflow -g 0 -m 775 /opt/airflow /opt/airflow/dags /opt/airflow/logs /opt/airflow/plugins
USER airflow
ENV AIRFLOW_HOME=/opt/airflow PATH=/home/airflow/.local/bin:$PATH
# The versions that the tests run with; the published image has those of Airflow's own constraints.
COPY constraints.txt /tmp/constraints.txt
RUN python -m venv /home/airflow/.local \
    && python -m pip install --no-cache-dir --quiet --constraint /tmp/constraints.txt \
        apache-airflow apache-airflow-providers-postgres
COPY airflow-entrypoint.sh /entrypoint
WORKDIR /opt/airflow
EXPOSE 8080
ENTRYPOINT ["bash", "/entrypoint"]
