-- What rules of privacy have to remember: which key the rows were masked with, which columns documents have filled, and
-- what was erased on request.
-- Why: another key would break every join without a sign; a column that the mapping does not name any more keeps the
-- values of before, which a new rule has to reach; an erasure has to be proved later, without saying what was erased.
-- Locks: nothing that exists; the tables are new.

create table replicator.mask_key (
    stream text not null,
    fingerprint text not null,
    since timestamptz not null default now(),
    constraint mask_key_pkey primary key (stream)
);

comment on table replicator.mask_key is
'A fingerprint of the key that rows were masked with, never the key.';

create table replicator.filled_column (
    stream text not null,
    collection text not null,
    table_name text not null,
    column_name text not null,
    constraint filled_column_pkey primary key (stream, collection, table_name, column_name)
);

comment on table replicator.filled_column is
'Columns that values of documents have been written to, those that the mapping does not name any more included.';

create table replicator.erasure (
    id bigint generated always as identity,
    stream text not null,
    collection text not null,
    cluster_time bigint not null,
    erased jsonb not null,
    kept jsonb not null,
    erased_by text not null default current_user,
    at timestamptz not null default now(),
    constraint erasure_pkey primary key (id)
);

comment on table replicator.erasure is
'Receipts of `replicator erase`: that nothing of one document is left as of cluster_time, and never which one.';
comment on column replicator.erasure.erased is 'How many rows were deleted, by table.';
comment on column replicator.erasure.kept is
'How many rows of other documents, by table, have the same key of a mart: they are not of the erased document.';
