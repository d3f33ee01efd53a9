-- What documents and mapping do not have in common, so that a person knows without looking into _extra.
-- Why: a value that its column cannot hold is null there, and every figure made of it would be wrong in silence.
-- Locks: nothing that exists; the table is new.

create table replicator.schema_finding (
    stream text not null,
    collection text not null,
    path text not null,
    kind text not null,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    count bigint not null,
    constraint schema_finding_pkey primary key (stream, collection, path, kind),
    constraint schema_finding_kind_check check (kind in ('new_field', 'misfit', 'gone'))
);

comment on table replicator.schema_finding is
'Fields that no column takes, values that do not fit their column, columns without any value. Never a value itself.';
comment on column replicator.schema_finding.path is
'Names with dots between them, those of an array''s elements behind the array''s. "..." stands for many others.';
comment on column replicator.schema_finding.kind is
'new_field: no column takes it. misfit: its column does not hold it. gone: its column is null in every row.';
comment on column replicator.schema_finding.first_seen is 'Wall time of the cluster time of the first commit with it.';
comment on column replicator.schema_finding.count is
'Values written since the collection was last read whole; of what is gone, the rows of the table.';
