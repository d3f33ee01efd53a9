-- What each role may do, with the tables that exist and with those that come later (default privileges).
--
--              database    replicator        MONGO_DATABASE    mart
-- replicator   temporary   owner             owner             select (how fresh the marts are)
-- airflow      temporary   read and write    read and write    owner
-- analyst      -           -                 select            select
--
-- Airflow's repair writes rows into tables of the service; it can neither alter nor drop them.

\getenv airflow POSTGRES_CONN_LOGIN
\getenv source MONGO_DATABASE

revoke all on database destination from public;
revoke create on schema public from public;

grant connect, temporary on database destination to replicator;
grant usage on schema mart to replicator;
grant select on all tables in schema mart to replicator;

grant connect on database destination to analyst;

-- The role of Airflow and the schema of the tables have their names from the environment.
select format(granted.statement, :'airflow', :'source')
from (
    values
    ('grant usage on schema %2$I, mart to analyst'),
    ('grant select on all tables in schema %2$I, mart to analyst'),
    ('alter default privileges for role replicator in schema %2$I grant select on tables to analyst'),
    ('grant connect, temporary on database destination to %1$I'),
    ('grant usage on schema replicator, %2$I to %1$I'),
    ('grant select, insert, update, delete on all tables in schema replicator, %2$I to %1$I'),
    (
        'alter default privileges for role replicator in schema replicator, %2$I '
        'grant select, insert, update, delete on tables to %1$I'
    ),
    ('alter default privileges for role %1$I in schema mart grant select on tables to replicator, analyst')
) as granted (statement)
\gexec
