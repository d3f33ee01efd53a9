-- Which keys of replicated tables have changed, for programs that compute only what changed (the marts).
-- Why: only the transaction that writes rows knows, for each of them, whom it belonged to before.
-- Locks: nothing that exists; both tables are new.

create table replicator.key_watch (
    reader text not null,
    stream text not null,
    table_name text not null,
    key_column text not null,
    is_kept boolean not null default false,
    reads bigint not null default 0,
    read_at timestamptz not null default now(),
    constraint key_watch_pkey primary key (reader, stream, table_name, key_column)
);

comment on table replicator.key_watch is
'Who wants to know which values of a column have changed. The service looks here at every commit: no restart.';
comment on column replicator.key_watch.is_kept is
'Set by the service: every commit after the one that set it is in changed_key.';
comment on column replicator.key_watch.reads is
'Counted up by the reader in the transaction that deletes what it has read: a reader that finds another number than '
'it left has missed something.';
comment on column replicator.key_watch.read_at is
'A watch that has not been read for 15 days is removed, with its rows.';

create table replicator.changed_key (
    reader text not null,
    stream text not null,
    table_name text not null,
    key_column text not null,
    key text,
    cluster_time bigint not null
);

-- There is no key: nothing may make the writer wait for a reader that deletes. Deletes can be published all the same.
alter table replicator.changed_key replica identity full;

comment on table replicator.changed_key is
'Values of watched columns in rows that were written or deleted, those before and those after. A value may be here '
'although its rows are the same as before, and several times.';
comment on column replicator.changed_key.key is 'The value as text; null when any may have changed.';
comment on column replicator.changed_key.cluster_time is
'Where the stream was before the commit: the change is not older.';
