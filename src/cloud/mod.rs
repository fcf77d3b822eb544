//! The way to AWS: credentials, regions, clients, and how often the service said no.
//!
//! Everything that speaks to S3 begins with [`Cloud::connect`], so that the source, the lake and the audit use the same
//! credentials (profile, environment, web identity, SSO, instance metadata: what aws-config knows), and the same name:
//! requests carry the user agent `s3trail/VERSION`, by which they are known in the logs they cause. Nothing here knows
//! log objects, lakes or queries.

#[cfg(feature = "s3")]
mod client;
#[cfg(feature = "s3")]
mod credentials;
#[cfg(feature = "s3")]
mod loops;
#[cfg(feature = "s3")]
mod meter;

#[cfg(feature = "s3")]
pub use client::{Cloud, USER_AGENT};
#[cfg(feature = "s3")]
pub use loops::{Loop, Loops};
#[cfg(feature = "s3")]
pub use meter::Meter;

/// What may be said about the way to S3; the rest is found as the AWS CLI finds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudOptions {
    /// A profile of the AWS configuration files.
    pub profile: Option<String>,
    /// The region of requests that no bucket decides.
    pub region: Option<String>,
    /// Another server than Amazon's.
    pub endpoint_url: Option<String>,
    /// Whether the bucket is in the path of a URL and not in its host name.
    pub path_style: bool,
    /// Whether we pay for requests to buckets whose owner does not.
    pub requester_pays: bool,
}
