"""The warehouse's batch jobs: what the DAGs call, importable and runnable without Airflow."""
