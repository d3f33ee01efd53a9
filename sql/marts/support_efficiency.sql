-- One row per support ticket, also one without messages. Null is no ticket.
--
-- A run is a series of user messages that support has not answered. Its response time goes from its first message to
-- the first support message after it; a run that was never answered has none.
--
-- A value that did not fit its column is in _extra. A figure that needs it is unknown, which is null.

with

dated_tickets as (
    select
        _id,
        ticket_id,
        user_id,
        status,
        issue_type,
        updated_at,
        _extra -> 'updated_at' is not null as is_update_unknown,
        -- A list of messages that is no list has no rows in the other table.
        _extra -> 'messages' is not null as are_messages_unknown
    from origin.support_tickets
    where ticket_id is not null
),

-- Several documents of one ticket are one ticket: the one that was updated last, if that is known.
tickets as (
    select distinct on (ticket_id)
        _id,
        ticket_id,
        user_id,
        status,
        issue_type,
        are_messages_unknown,
        count(*) over documents_of_one > 1
        and bool_or(is_update_unknown) over documents_of_one as is_document_unknown
    from dated_tickets
    window documents_of_one as (partition by ticket_id)
    order by ticket_id asc, updated_at desc nulls last, _id asc
),

known_tickets as (
    select
        _id,
        ticket_id,
        user_id,
        status,
        issue_type,
        is_document_unknown,
        not is_document_unknown and not are_messages_unknown as are_messages_known
    from tickets
),

-- Times outside the years 1 to 9999 are kept, but nothing is reckoned with them: the difference of two of them is more
-- than an interval holds.
messages as (
    select
        _id,
        _ordinal,
        sender,
        timestamp,
        _extra -> 'sender' is not null as is_sender_unknown,
        _extra -> 'timestamp' is not null as is_time_unknown,
        timestamp >= '0001-01-01 00:00:00+00' and timestamp < '10000-01-01 00:00:00+00' as is_within_calendar
    from origin.support_ticket_messages
),

message_totals as (
    select
        _id,
        case when not bool_or(is_time_unknown) then min(timestamp) end as first_message_dt,
        case when not bool_or(is_time_unknown) then max(timestamp) end as last_message_dt,
        case
            when not bool_or(is_sender_unknown) then count(*) filter (where sender = 'support')
        end as support_messages,
        case when not bool_or(is_sender_unknown) then count(*) filter (where sender = 'user') end as user_messages,
        bool_or(
            is_sender_unknown
            or sender in ('user', 'support')
            and (is_time_unknown or not coalesce(is_within_calendar, true) and isfinite(timestamp))
        ) as is_order_unknown
    from messages
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
    from messages
    where sender in ('user', 'support') and is_within_calendar
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
        round(avg(extract(epoch from timestamp - asked_at)) / 60, 4) as avg_response_time_min
    from turns
    where sender = 'support' and asked_at is not null
    group by _id
)

select
    known_tickets.ticket_id,
    case when not known_tickets.is_document_unknown then known_tickets.user_id end as user_id,
    case when not known_tickets.is_document_unknown then known_tickets.status end as status,
    case when not known_tickets.is_document_unknown then known_tickets.issue_type end as issue_type,
    case when known_tickets.are_messages_known then message_totals.first_message_dt end as first_message_dt,
    case when known_tickets.are_messages_known then message_totals.last_message_dt end as last_message_dt,
    case
        when not known_tickets.are_messages_known then null
        when message_totals._id is null then 0
        else message_totals.support_messages
    end as support_messages,
    case
        when not known_tickets.are_messages_known then null
        when message_totals._id is null then 0
        else message_totals.user_messages
    end as user_messages,
    case
        when known_tickets.are_messages_known and not message_totals.is_order_unknown
            then response_times.avg_response_time_min
    end as avg_response_time_min
from known_tickets
left join message_totals on known_tickets._id = message_totals._id
left join response_times on known_tickets._id = response_times._id
