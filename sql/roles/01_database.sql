-- The warehouse's database. It has to hold every text of MongoDB, so its encoding is UTF8 whatever the server's is.
-- Run in the database "postgres", outside a transaction.

select 'create database destination encoding ''UTF8'' template template0'
from (values ('destination')) as wanted (name)
left join pg_database as existing on wanted.name = existing.datname
where existing.datname is null
\gexec
