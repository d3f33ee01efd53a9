"""What stands between Airflow and the jobs: connections, runs, failures, task logs, and the jobs of the DAGs' tasks.

The DAG files only wire these together. :mod:`.connections`, :mod:`.failures` and :mod:`.initialisation` import Airflow
where they need it; everything else here knows no Airflow and is called with plain values.
"""
