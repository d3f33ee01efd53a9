-- What each role may do, with the tables that exist and with those that come later (default privileges).
--
--              database    replicator        origin            mart
-- replicator   temporary   owner             owner             select (how fresh the marts are)
-- airflow      temporary   read and write    read and write    owner
-- analyst      -           -                 select            select
--
-- Airflow's repair writes rows into tables of the service; it can neither alter nor drop them.

\getenv airflow POSTGRES_CONN_LOGIN

revoke all on database destination from public;
revoke create on schema public from public;

grant connect, temporary on database destination to replicator;
grant usage on schema mart to replicator;
grant select on all tables in schema mart to replicator;

grant connect on database destination to analyst;
grant usage on schema origin, mart to analyst;
grant select on all tables in schema origin, mart to analyst;
alter default privileges for role replicator in schema origin grant select on tables to analyst;

-- The role of Airflow has its name from the environment.
select format(granted.statement, :'airflow')
from (
    values
    ('grant connect, temporary on database destination to %I'),
    ('grant usage on schema replicator, origin to %I'),
    ('grant select, insert, update, delete on all tables in schema replicator, origin to %I'),
    (
        'alter default privileges for role replicator in schema replicator, origin '
        'grant select, insert, update, delete on tables to %I'
    ),
    ('alter default privileges for role %I in schema mart grant select on tables to replicator, analyst')
) as granted (statement)
\gexec
