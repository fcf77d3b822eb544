//! The guard against feeding ourselves: whether what is written to a bucket comes back as log objects to read.
//!
//! A write to bucket L is logged to the bucket that L logs to, that delivery is logged where *that* bucket logs to,
//! and so on. When the way leads to the bucket that log objects are read from, every run makes work for the next.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;

use super::Cloud;
use super::client::unreachable;
use crate::error::{ErrorKind, Result};

/// Hops followed at most. Real chains have one or two.
const HOPS: usize = 32;

/// A way from the bucket written to, to the bucket read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loop {
    /// The buckets, in order, first the one written to, last the one read. One entry when they are the same.
    pub path: Vec<String>,
}

impl std::fmt::Display for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path.join(" -> "))
    }
}

/// What following the logs of a bucket came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loops {
    /// Writing does not come back.
    None,
    /// It does.
    Found(Loop),
    /// The logging of this bucket may not be read, or nobody says which bucket it is: it cannot be told.
    Unknown(String),
}

impl Cloud {
    /// Whether writing to bucket `written` makes log objects in bucket `read`, by the logging configuration as it is.
    ///
    /// Errors only when the server cannot be reached or the bucket `written` does not exist.
    pub async fn loops(&self, written: &str, read: &str) -> Result<Loops> {
        if written != read
            && let Some(name) = [written, read].into_iter().find(|name| is_access_point(name))
        {
            return Ok(Loops::Unknown(format!("the bucket behind the access point {name}")));
        }
        let mut path = vec![written.to_owned()];
        while path.len() <= HOPS {
            let bucket = &path[path.len() - 1];
            if bucket == read {
                return Ok(Loops::Found(Loop { path }));
            }
            let region = match self.region_of(bucket).await {
                Ok(region) => region,
                // A log that goes to a bucket which was deleted goes nowhere.
                Err(e) if e.kind() == ErrorKind::NotFound && path.len() > 1 => return Ok(Loops::None),
                Err(e) => return Err(e),
            };
            let target = logs_to(&self.s3_in(&region), bucket).await?;
            match target {
                // A circle that does not come by the source is not ours to judge.
                Target::Bucket(target) if !path.contains(&target) => path.push(target),
                Target::Bucket(_) | Target::None => return Ok(Loops::None),
                Target::Unknown => return Ok(Loops::Unknown(bucket.clone())),
            }
        }
        Ok(Loops::None)
    }
}

/// Whether a name is not that of a bucket, but leads to one: an alias or the ARN of an access point.
fn is_access_point(name: &str) -> bool {
    ["-s3alias", "--ol-s3", ".mrap"].iter().any(|ending| name.ends_with(*ending)) || name.starts_with("arn:")
}

/// Where the log of a bucket is delivered to.
enum Target {
    Bucket(String),
    None,
    /// It may not be read.
    Unknown,
}

/// Errors when there was no answer at all.
async fn logs_to(client: &Client, bucket: &str) -> Result<Target> {
    match client.get_bucket_logging().bucket(bucket).send().await {
        Ok(found) => Ok(match found.logging_enabled {
            Some(enabled) => Target::Bucket(enabled.target_bucket),
            None => Target::None,
        }),
        // Servers without access logs have none to loop, and neither has a bucket that has just been deleted.
        Err(e) if matches!(e.code(), Some("NotImplemented" | "NoSuchBucket")) => Ok(Target::None),
        Err(e) if e.raw_response().is_some() => Ok(Target::Unknown),
        Err(e) => Err(unreachable("ask for the logging of the bucket", bucket, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_points_are_no_buckets() {
        for name in [
            "demo-ap-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias",
            "demo-olap-u4abcdefghijkl--ol-s3",
            "mfzwi23gnjvgw.mrap",
            "arn:aws:s3:us-east-1:111122223333:accesspoint",
        ] {
            assert!(is_access_point(name), "{name}");
        }
        for name in ["amzn-s3-demo-logs", "s3alias", "arn-s3"] {
            assert!(!is_access_point(name), "{name}");
        }
    }
}
