-- Why the service ended last, so that whoever looks afterwards finds the cause without its log.
-- Why: a process that has failed cannot be asked any more, and its log may be elsewhere.
-- Locks: nothing that exists; the table is new.

create table replicator.failure (
    stream text not null,
    instance text not null,
    at timestamptz not null default now(),
    cause text not null,
    hint text not null,
    exit_code integer not null,
    constraint failure_pkey primary key (stream)
);

comment on table replicator.failure is
'The last error that ended the service, one row a stream. It is over once the checkpoint was moved after it.';
comment on column replicator.failure.instance is 'The host and the process that ended.';
