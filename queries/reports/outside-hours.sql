--! id = "outside-hours"
--! kind = "report"
--! title = "Who was busy outside working hours"
--! description = """
--! Requests outside the hours and days of work by caller. Times in the logs are UTC: give the distance of your clock
--! in utc_offset_minutes; summer time is not known here. Services and work inside AWS are left out; jobs that run at
--! night are not, so look for people."""
--! tags = ["anomalies", "operations"]
--! [params.from_hour]
--! type = "int"
--! default = 8
--! help = "Work begins at this hour"
--! [params.to_hour]
--! type = "int"
--! default = 18
--! help = "Work ends at this hour; an hour before from_hour is one of the next day: 22 to 6 is night work"
--! [params.utc_offset_minutes]
--! type = "int"
--! default = 0
--! help = "Your clock minus UTC, in minutes; -300 for New York in winter"
--! [params.weekend_is_outside]
--! type = "bool"
--! default = true
--! help = "Saturday and Sunday are outside as a whole"
--! [params.since]
--! type = "timestamp"
--! default = "1970-01-01"
--! help = "Records from this time on"
--! [params.until]
--! type = "timestamp"
--! default = "9999-12-31"
--! help = "Records before this time"
--! [params.bucket]
--! type = "text"
--! default = ""
--! help = "Only this bucket; empty for all"
--! [params.limit]
--! type = "int"
--! default = 100
--! help = "At most this many rows"
SELECT
    bucket,
    principal,
    count(*) FILTER (WHERE is_outside) AS requests_outside,
    round(100.0 * count(*) FILTER (WHERE is_outside) / count(*), 1) AS share_percent,
    count(*) FILTER (WHERE is_outside AND operation_class IN ('write', 'delete', 'config_write')) AS changes,
    coalesce(sum(bytes_sent) FILTER (WHERE is_outside), 0) AS bytes_sent,
    approx_distinct(remote_ip) FILTER (WHERE is_outside) AS addresses_approx,
    min(user_agent_family) FILTER (WHERE is_outside) AS example_software,
    min(time) FILTER (WHERE is_outside) AS first_time,
    max(time) FILTER (WHERE is_outside) AS last_time
FROM (
    SELECT
        *,
        CASE
            WHEN $from_hour <= $to_hour
                THEN date_part('hour', local_time) < $from_hour OR date_part('hour', local_time) >= $to_hour
            -- Work goes on over midnight.
            ELSE date_part('hour', local_time) < $from_hour AND date_part('hour', local_time) >= $to_hour
        END
            OR $weekend_is_outside AND date_part('dow', local_time) IN (0, 6) AS is_outside
    FROM (
        SELECT
            bucket,
            principal,
            operation_class,
            bytes_sent,
            remote_ip,
            user_agent_family,
            time,
            to_timestamp_seconds(CAST(date_part('epoch', time) AS bigint) + $utc_offset_minutes * 60) AS local_time
        FROM requests
        WHERE time >= $since AND time < $until
            AND ($bucket = '' OR bucket = $bucket)
            AND NOT is_aws_internal
    ) AS shifted
) AS marked
GROUP BY bucket, principal
HAVING count(*) FILTER (WHERE is_outside) > 0
ORDER BY requests_outside DESC, bucket, principal
LIMIT $limit
