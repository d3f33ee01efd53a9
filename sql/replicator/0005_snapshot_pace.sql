-- Ranges and pace of snapshots, and indexes that are made once a table is filled.
-- Why: several ranges are read at a time, as fast as an operator allows; an index costs less after a load than in it.
-- Locks: the table of snapshots, for an instant. A snapshot under way continues as one range.

create table replicator.snapshot_range (
    stream text not null,
    collection text not null,
    number integer not null,
    place bytea,
    upto bytea,
    documents bigint not null default 0,
    finished_at timestamptz,
    constraint snapshot_range_pkey primary key (stream, collection, number)
);

comment on table replicator.snapshot_range is
'A part of a collection in the order of its keys: read up to place, to be read up to and with upto (null: the end).';
comment on column replicator.snapshot_range.place is
'BSON of {_id} of the last document written, at first the end of the range before; null is the beginning.';

insert into replicator.snapshot_range (stream, collection, number, place, documents)
select
    stream,
    collection,
    0 as number,
    place,
    documents
from replicator.snapshot_progress
where finished_at is null and sweep_place is null;

alter table replicator.snapshot_progress
drop column place,
add column bytes bigint not null default 0;

comment on column replicator.snapshot_progress.bytes is 'The bytes of the documents that were read.';

create table replicator.snapshot_pace (
    stream text not null,
    workers integer,
    max_mb_s double precision,
    changed_at timestamptz not null default now(),
    constraint snapshot_pace_pkey primary key (stream),
    constraint snapshot_pace_workers_check check (workers between 1 and 64),
    constraint snapshot_pace_max_mb_s_check check (max_mb_s >= 0)
);

comment on table replicator.snapshot_pace is
'How fast an operator lets snapshots be read; null is what the settings say, 0 MB/s is no limit.';

create table replicator.index_build (
    stream text not null,
    index_name text not null,
    collection text not null,
    table_name text not null,
    columns text[] not null,
    state text not null,
    error text,
    changed_at timestamptz not null default now(),
    constraint index_build_pkey primary key (stream, index_name),
    constraint index_build_state_check check (state in ('waiting', 'building', 'failed'))
);

comment on table replicator.index_build is
'Indexes of the mapping that are not there yet. They are made beside the commits, after a table is filled.';
