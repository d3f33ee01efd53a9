-- The replicator's own state: where each stream is, what became of each collection, what could not be written.
-- Why: the position commits together with the rows it stands for, so it lives in the same database.
-- Locks: nothing that exists; every table here is new.

create table replicator.checkpoint (
    stream text not null,
    resume_token jsonb,
    cluster_time bigint,
    epoch bigint not null default 0,
    converging_until bigint,
    updated_at timestamptz not null default now(),
    constraint checkpoint_pkey primary key (stream)
);

comment on table replicator.checkpoint is
'One row a stream: PostgreSQL shows MongoDB as it was at cluster_time (seconds * 2^32 + increment).';
comment on column replicator.checkpoint.epoch is
'Grows by one with each new leader; a leader whose epoch is not here any more may not write.';
comment on column replicator.checkpoint.converging_until is
'While not null and beyond cluster_time, some rows may be newer than cluster_time; exact again afterwards.';

create table replicator.collection (
    stream text not null,
    collection text not null,
    table_name text not null,
    state text not null,
    mapping_hash text not null,
    updated_at timestamptz not null default now(),
    constraint collection_pkey primary key (stream, collection),
    constraint collection_table_name_key unique (stream, table_name),
    constraint collection_state_check check (state in ('snapshotting', 'streaming', 'paused', 'dropped'))
);

comment on table replicator.collection is
'Which table each collection has. A name is given once and kept, so two collections are never merged.';

create table replicator.snapshot_progress (
    stream text not null,
    collection text not null,
    place bytea,
    documents bigint not null default 0,
    expected bigint,
    started_at timestamptz not null default now(),
    started_xid xid8 not null default pg_current_xact_id(),
    finished_at timestamptz,
    constraint snapshot_progress_pkey primary key (stream, collection)
);

comment on column replicator.snapshot_progress.place is
'BSON of {_id} of the last document written; null before the first chunk.';
comment on column replicator.snapshot_progress.started_xid is
'Rows last written before this transaction, and not seen by the snapshot, do not exist at the source any more.';

create table replicator.dead_letter (
    id bigint generated always as identity,
    stream text not null,
    collection text not null,
    source_id text not null,
    operation text not null,
    document bytea,
    error text not null,
    cluster_time bigint,
    created_at timestamptz not null default now(),
    retried_at timestamptz,
    constraint dead_letter_pkey primary key (id)
);

create index dead_letter_source_idx on replicator.dead_letter (stream, collection, source_id);

comment on table replicator.dead_letter is
'Documents that PostgreSQL refused. A later version that is written settles (removes) its letter.';
comment on column replicator.dead_letter.document is 'The original document as BSON; of a delete, only its _id.';

create table replicator.request (
    id bigint generated always as identity,
    stream text not null,
    kind text not null,
    collection text,
    created_at timestamptz not null default now(),
    handled_at timestamptz,
    constraint request_pkey primary key (id),
    constraint request_kind_check check (kind in ('resync', 'pause', 'resume', 'retry'))
);

create index request_open_idx on replicator.request (stream, id) where handled_at is null;

comment on table replicator.request is 'What an operator asked for; the leader does it between two batches.';

create table replicator.pause (
    stream text not null,
    paused_at timestamptz not null default now(),
    constraint pause_pkey primary key (stream)
);

comment on table replicator.pause is 'A row here holds its stream: nothing is committed until it is deleted.';

create table replicator.reconciliation_run (
    id bigint generated always as identity,
    stream text not null,
    collection text,
    state text not null default 'running',
    repair boolean not null default false,
    deep boolean not null default false,
    cluster_time bigint,
    documents bigint not null default 0,
    differences bigint not null default 0,
    repaired bigint not null default 0,
    parts jsonb not null default '{}',
    error text,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint reconciliation_run_pkey primary key (id),
    constraint reconciliation_run_state_check check (state in ('running', 'finished', 'failed'))
);

comment on table replicator.reconciliation_run is
'Comparisons of both sides. The numbers are the sums over the parts; cluster_time is that of the oldest part.';
comment on column replicator.reconciliation_run.collection is
'The collections that were compared, separated by commas; null when all were.';
comment on column replicator.reconciliation_run.parts is 'What each part has found, by its label.';

create table replicator.reconciliation_difference (
    run_id bigint not null,
    collection text not null,
    source_id text not null,
    kind text not null,
    detail text,
    cluster_time bigint,
    repaired_at timestamptz,
    constraint reconciliation_difference_pkey primary key (run_id, collection, source_id),
    constraint reconciliation_difference_run_fkey foreign key (run_id)
    references replicator.reconciliation_run (id) on delete cascade,
    constraint reconciliation_difference_kind_check check (kind in ('missing', 'unexpected', 'different'))
);

comment on table replicator.reconciliation_difference is
'The first 10,000 differences of each run. No value of a document is ever stored here but its key.';
