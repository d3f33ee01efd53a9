-- Identities beside the position, and snapshots that delete by keys.
-- Why: a position belongs to one history and a row to one document: nothing else is evidence of either.
-- Locks: the control tables, for an instant.

alter table replicator.collection
add column uuid bytea,
add column tables text[] not null default '{}';

comment on column replicator.collection.uuid is
'The UUID of the collection at the source, where it is known.';
comment on column replicator.collection.tables is 'All its tables, the parent first, where they are known.';

alter table replicator.snapshot_progress
drop column started_xid,
add column sweeps boolean not null default true,
add column sweep_place text;

comment on column replicator.snapshot_progress.sweeps is
'Whether there may be rows of before: those whose documents do not exist are deleted after the last chunk.';
comment on column replicator.snapshot_progress.sweep_place is
'The last key that was looked at for that; null while documents are read.';

create table replicator.history_mark (
    stream text not null,
    cluster_time bigint not null,
    term bigint not null,
    wall bigint not null,
    constraint history_mark_pkey primary key (stream)
);

comment on table replicator.history_mark is
'The oplog entry at a recent position of each stream: where it is not, the position belongs to another history.';
comment on column replicator.history_mark.wall is 'Milliseconds since 1970.';

alter table replicator.request
drop constraint request_kind_check,
add constraint request_kind_check check (kind in ('resync', 'pause', 'resume', 'retry', 'forget')),
add column attempts integer not null default 0,
add column error text;

comment on column replicator.request.error is 'Why it could not be done.';
