-- Three schemas, and who owns what is in them: the service its state and the replicated tables, Airflow the marts.
-- They exist before the first start, so nobody needs the privilege to create one.
-- What an earlier set-up left to another owner is handed over: the service adds columns, which only an owner may.

\getenv airflow POSTGRES_CONN_LOGIN
\getenv source MONGO_DATABASE

create schema if not exists replicator;
create schema if not exists mart;
comment on schema replicator is 'Tables of the replicator itself: position, dead letters, comparisons.';
comment on schema mart is 'Marts for analysts, the history of their rows, and how fresh every table is: freshness.';

select format('create schema if not exists %I', :'source')
\gexec

select format('alter schema %I owner to %I', space.nspname, wanted.owner)
from (values ('replicator', 'replicator'), (:'source', 'replicator'), ('mart', :'airflow')) as wanted (name, owner)
inner join pg_namespace as space on wanted.name = space.nspname
where pg_get_userbyid(space.nspowner) <> wanted.owner
\gexec

select
    format(
        'alter %s %I.%I owner to %I',
        case relation.relkind when 'v' then 'view' else 'table' end, space.nspname, relation.relname, wanted.owner
    )
from (values ('replicator', 'replicator'), (:'source', 'replicator'), ('mart', :'airflow')) as wanted (name, owner)
inner join pg_namespace as space on wanted.name = space.nspname
inner join pg_class as relation on space.oid = relation.relnamespace
where relation.relkind in ('r', 'p', 'v') and pg_get_userbyid(relation.relowner) <> wanted.owner
order by relation.oid
\gexec

-- "select * from user_activity" works. The marts come first: no collection can hide one by having its name. A path that
-- an administrator has chosen stays.
select format('alter database destination set search_path = "$user", public, mart, %I', :'source')
from pg_database as this
left join pg_db_role_setting as settings on this.oid = settings.setdatabase and settings.setrole = 0
where this.datname = current_database() and coalesce(array_to_string(settings.setconfig, ' ') !~ 'search_path=', true)
\gexec
