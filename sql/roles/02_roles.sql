-- Who may sign in: the service, Airflow, and people who analyse. None of them is an administrator of anything.
-- The name of Airflow's role and all passwords come from the environment of psql. They must not reach the server's log,
-- not even with a failed statement.

set log_statement = 'none';
set log_min_error_statement = 'panic';
set log_min_duration_statement = -1;

\getenv airflow POSTGRES_CONN_LOGIN
\getenv replicator_password POSTGRES_REPLICATOR_PASSWORD
\getenv airflow_password POSTGRES_CONN_PASSWORD
\getenv analyst_password POSTGRES_ANALYST_PASSWORD

select format('create role %I', wanted.name)
from (values ('replicator'), (:'airflow'), ('analyst')) as wanted (name)
left join pg_roles as existing on wanted.name = existing.rolname
where existing.rolname is null
\gexec

select
    format(
        'alter role %I with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password %L',
        wanted.name, wanted.password
    )
from (
    values
    ('replicator', :'replicator_password'), (:'airflow', :'airflow_password'), ('analyst', :'analyst_password')
) as wanted (name, password)
\gexec

-- The privileges are what forbids writing; this says so before a statement is planned.
alter role analyst set default_transaction_read_only = on;
