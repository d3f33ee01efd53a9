-- One row a support ticket, also one without messages. Null is no ticket.
--
-- A run is a series of user messages that support has not answered. Its response time goes from its first message to
-- the first support message after it; a run that was never answered has none.

with

-- Several documents of one ticket are one ticket: the one that was updated last.
tickets as (
    select distinct on (ticket_id)
        _id,
        ticket_id,
        user_id,
        status,
        issue_type
    from origin.support_tickets
    where ticket_id is not null
    order by ticket_id asc, updated_at desc nulls last, _id asc
),

message_totals as (
    select
        _id,
        min(timestamp) as first_message_dt,
        max(timestamp) as last_message_dt,
        count(*) filter (where sender = 'support') as support_messages,
        count(*) filter (where sender = 'user') as user_messages
    from origin.support_ticket_messages
    group by _id
),

-- Who else speaks neither asks nor answers, and a message without a time has no place in the order.
sides as (
    select
        _id,
        _ordinal,
        sender,
        timestamp,
        lag(sender) over (partition by _id order by timestamp, _ordinal) as previous_sender
    from origin.support_ticket_messages
    where sender in ('user', 'support') and isfinite(timestamp)
),

-- Only the first message of every run is left, so that the sides alternate.
turns as (
    select
        _id,
        sender,
        timestamp,
        lag(timestamp) over (partition by _id order by timestamp, _ordinal) as asked_at
    from sides
    where sender is distinct from previous_sender
),

response_times as (
    select
        _id,
        avg(extract(epoch from timestamp - asked_at)) / 60 as avg_response_time_min
    from turns
    where sender = 'support' and asked_at is not null
    group by _id
)

select
    tickets.ticket_id,
    tickets.user_id,
    tickets.status,
    tickets.issue_type,
    message_totals.first_message_dt,
    message_totals.last_message_dt,
    coalesce(message_totals.support_messages, 0) as support_messages,
    coalesce(message_totals.user_messages, 0) as user_messages,
    response_times.avg_response_time_min
from tickets
left join message_totals on tickets._id = message_totals._id
left join response_times on tickets._id = response_times._id
