//! An S3 server in memory and a proxy that spoils its answers, for the tests that talk S3.
//!
//! The wire, the XML and the signatures are `s3s`; what S3 does behind them is ours, as strict as AWS documents it
//! where an ingest could be fooled: pages of at most 1,000 keys, any of them short, in the binary order of their
//! keys; conditional writes; ETags in listings. The tests here hold it against AWS's own client.
//!
//! Not here, for want of a test that needs it: virtual-hosted style, ACLs, policies that are enforced, versions of
//! objects, real log delivery, ListObjects of the first version.

mod backend;
mod pieces;
mod proxy;
mod server;
mod store;
#[cfg(test)]
mod tests;

pub use proxy::{Fault, FaultProxy, Faults};
pub use server::{Counts, KeyFormat, REGION, Request, S3Server};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};

/// AWS's client for the server or proxy at `endpoint`, path style, without retries.
pub fn client(endpoint: &str, access_key: &str, secret_key: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}
