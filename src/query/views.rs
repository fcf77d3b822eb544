//! The views: tables that queries see beside those of the lake.
//!
//! A view is a saved query of kind `view`. It is planned over the tables that are there and never stored:
//! what a query does not use of it costs nothing, and a bound on `time` or `event_date` goes through to the
//! files.

use std::sync::Arc;

use datafusion::catalog::view::ViewTable;

use super::{Catalog, Engine, Kind, Params};
use crate::error::Result;

/// Makes the views of a catalog known to an engine, by name; a view can use those before it.
///
/// # Errors
///
/// [`ErrorKind::Query`](crate::error::ErrorKind::Query) with the file of the view that cannot be planned.
pub async fn register(engine: &Engine, catalog: &Catalog) -> Result<()> {
    for view in catalog.of_kind(Kind::View) {
        let frame = engine
            .plan(view.sql(), &Params::none())
            .await
            .map_err(|error| error.with_context("file", view.origin.as_str()))?;
        let table = ViewTable::new(frame.into_unoptimized_plan(), Some(view.body().to_owned()));
        engine.register_table(&view.id, Arc::new(table)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{EngineOptions, SavedQuery, testing};
    use super::*;
    use arrow::array::RecordBatch;
    use arrow::util::pretty::pretty_format_batches;

    async fn run(engine: &Engine, sql: &str) -> Vec<RecordBatch> {
        let frame =
            engine.plan(sql, &Params::none()).await.unwrap_or_else(|e| panic!("{sql}: {}", e.report()));
        engine.collect(frame).await.unwrap_or_else(|e| panic!("{sql}: {}", e.report()))
    }

    /// One line per row, values separated by bars.
    async fn rows(engine: &Engine, sql: &str) -> Vec<String> {
        let table = pretty_format_batches(&run(engine, sql).await).unwrap().to_string();
        let cells =
            |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|");
        table.lines().filter(|line| line.starts_with('|')).skip(1).map(cells).collect()
    }

    #[tokio::test]
    async fn requests_derive_what_the_record_says() {
        let records = [
            r#"{"request_id":"1","requester":"arn:aws:sts::111122223333:assumed-role/etl/i-0abc",
                "operation":"REST.GET.OBJECT","key":"logs/2026/a.log","remote_ip":"10.1.2.3","http_status":200,
                "user_agent":"Boto3/1.26.0 Botocore/1.29.0","authentication_type":"AuthHeader",
                "request_uri":"GET /logs/2026/a.log HTTP/1.1","host_id":"h"}"#,
            r#"{"request_id":"2","operation":"REST.GET.OBJECT","key":"a.txt","remote_ip":"192.0.2.1","http_status":403,
                "error_code":"AccessDenied","user_agent":"curl/8.4.0","authentication_type":"QueryString",
                "request_uri":"GET /a.txt?x-amz-expires=604800&X-Amz-Date=20260301T000000Z&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260301%2Fus-east-1%2Fs3%2Faws4_request HTTP/1.1"}"#,
            r#"{"request_id":"3","requester":"AmazonS3","operation":"S3.EXPIRE.OBJECT","key":"a/b"}"#,
            r#"{"request_id":"4","requester":"svc:cloudfront.amazonaws.com","operation":"REST.GET.OBJECT","http_status":304}"#,
        ];
        let engine = testing::engine(&EngineOptions::default(), &records).await;
        let got = rows(
            &engine,
            "SELECT method, resource, operation_class, is_success, is_anonymous, is_aws_internal, principal_type, \
             account_id, role, session_name, user_agent_family, ip_class, key_prefix, is_presigned, \
             presigned_expires_s, presigned_date, presigned_credential_key_id FROM requests ORDER BY request_id",
        )
        .await;
        assert_eq!(
            got,
            [
                "GET|OBJECT|read|true|false|false|assumed_role|111122223333|etl|i-0abc|boto3|private|logs/|false|||",
                "GET|OBJECT|read|false|true|false|anonymous||||curl|documentation||true|604800|20260301T000000Z|\
                 AKIAIOSFODNN7EXAMPLE",
                "EXPIRE|OBJECT|internal||false|true|aws_s3||||||a/|false|||",
                "GET|OBJECT|read|false|false|true|service|||||||false|||",
            ]
        );
        let principals = rows(&engine, "SELECT principal FROM requests ORDER BY request_id").await;
        assert_eq!(principals[..2], ["arn:aws:sts::111122223333:assumed-role/etl", "anonymous"]);
    }

    #[tokio::test]
    async fn columns_that_are_not_asked_for_cost_nothing() {
        let engine = testing::engine(&EngineOptions::default(), &[]).await;
        let plan = rows(
            &engine,
            "EXPLAIN SELECT bucket FROM requests WHERE time >= '2026-03-01' AND event_date >= '2026-03-01'",
        )
        .await
        .join("\n");
        assert!(plan.contains("access_logs.time >= TimestampMicrosecond"), "{plan}");
        assert!(plan.contains("access_logs.event_date >= Date32"), "{plan}");
        for derived in ["principal", "user_agent", "uri_param", "ip_class", "operation"] {
            assert!(!plan.contains(derived), "{derived} in {plan}");
        }
    }

    #[tokio::test]
    async fn deliveries_are_edges_between_buckets() {
        let log_delivery = "3272ee65a908a7677109fedda345db8d9554ba26398b2ca10581de88777e2b61";
        let record = |id: u32, key: &str, requester: &str| {
            format!(
                r#"{{"request_id":"{id}","bucket":"amzn-s3-demo-logs","time":"2026-03-01T00:00:0{id}Z","object_size":100,
                 "operation":"REST.PUT.OBJECT","http_status":200,"requester":"{requester}","key":"{key}"}}"#
            )
        };
        let name = "2026-03-01-00-00-00-0123456789ABCDEF";
        let partitioned = format!("p/111122223333/us-east-1/amzn-s3-demo-src/2026/03/01/{name}");
        let records = [
            record(1, &format!("logs/{name}"), log_delivery),
            record(2, &partitioned, log_delivery),
            record(3, &partitioned, "svc:logging.s3.amazonaws.com"),
            // Replication of a log object and an ordinary upload by the service are no delivery.
            record(4, &partitioned, "arn:aws:sts::111122223333:assumed-role/repl/s3-replication"),
            record(5, "AWSLogs/111122223333/x.log.gz", "svc:delivery.logs.amazonaws.com"),
        ];
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let engine = testing::engine(&EngineOptions::default(), &records).await;
        let objects = [
            r#"{"log_bucket":"amzn-s3-demo-logs","log_key":"a","etag":"1","size_bytes":300,"records":2,"lines":2,
                "source_bucket":"amzn-s3-demo-src","delivered_at":"2026-03-01T01:00:00Z"}"#,
            r#"{"log_bucket":"amzn-s3-demo-logs","log_key":"b","etag":"2","size_bytes":400,"records":3,"lines":3,
                "source_bucket":"amzn-s3-demo-src","delivered_at":"2026-03-01T02:00:00Z"}"#,
            r#"{"log_key":"c","etag":"3","size_bytes":400,"records":3,"lines":3,"source_bucket":"amzn-s3-demo-src"}"#,
        ];
        testing::register_log_objects(&engine, &objects).await;
        let got = rows(
            &engine,
            "SELECT source_bucket, destination_bucket, evidence_kind, objects, bytes, first_seen, last_seen \
             FROM log_deliveries ORDER BY evidence_kind, source_bucket NULLS LAST",
        )
        .await;
        assert_eq!(
            got,
            [
                "amzn-s3-demo-src|amzn-s3-demo-logs|certain|2|700|2026-03-01T01:00:00Z|2026-03-01T02:00:00Z",
                "amzn-s3-demo-src|amzn-s3-demo-logs|observed|2|200|2026-03-01T00:00:02Z|2026-03-01T00:00:03Z",
                "|amzn-s3-demo-logs|observed|1|100|2026-03-01T00:00:01Z|2026-03-01T00:00:01Z",
            ]
        );
    }

    #[tokio::test]
    async fn every_report_runs_on_an_empty_lake() {
        let engine = testing::engine(&EngineOptions::default(), &[]).await;
        let needed = |query: &SavedQuery| {
            let required = query.params.iter().filter(|(_, spec)| spec.required);
            required.map(|(name, _)| (name.clone(), "x".to_owned())).collect::<Vec<_>>()
        };
        let catalog = Catalog::load(None).unwrap();
        for report in catalog.of_kind(Kind::Report) {
            let mut given = needed(report);
            given.push(("bucket".to_owned(), "amzn-s3-demo-bucket".to_owned()));
            given.push(("since".to_owned(), "-7d".to_owned()));
            for given in [needed(report), given] {
                let params = Params::bind(report, &given).unwrap();
                let frame = engine.plan(report.sql(), &params).await;
                let frame = frame.unwrap_or_else(|e| panic!("{}: {}", report.origin, e.report()));
                let batches = engine.collect(frame).await;
                batches.unwrap_or_else(|e| panic!("{}: {}", report.origin, e.report()));
            }
        }
    }
}
