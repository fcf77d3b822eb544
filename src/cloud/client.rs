//! Clients for AWS: one set of credentials, one name, one meter.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::ProvideCredentials;
use aws_sdk_s3::config::retry::{RetryPartition, TokenBucket};
use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore};

use super::{CloudOptions, Meter, credentials};
use crate::error::{Error, ErrorKind, Result};

/// How our requests name themselves.
pub const USER_AGENT: &str = concat!("s3trail/", env!("CARGO_PKG_VERSION"));

/// How often a request is sent at most before it has failed: what S3 answers under load passes within seconds.
const ATTEMPTS: u32 = 8;

/// How long a connection may take, and then the answer to begin. That a body stalls is noticed by the SDK itself.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

/// The region where nothing says another, as with the AWS CLI.
const FALLBACK_REGION: &str = "us-east-1";

/// Clients for AWS that share credentials and a [`Meter`].
#[derive(Debug, Clone)]
pub struct Cloud {
    config: SdkConfig,
    options: CloudOptions,
    meter: Meter,
}

impl Cloud {
    /// Finds out how to reach AWS. No request is sent but those that credentials need.
    ///
    /// Errors with [`ErrorKind::Usage`] when there are no credentials.
    pub async fn connect(options: &CloudOptions) -> Result<Cloud> {
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(Duration::from_millis(100))
            .with_max_backoff(Duration::from_secs(20));
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(SILENCE).build();
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).retry_config(retries).timeout_config(timeouts);
        if let Some(profile) = &options.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &options.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let mut config = loader.load().await;
        if config.region().is_none() {
            config = config.into_builder().region(Region::new(FALLBACK_REGION)).build();
        }
        credentials::check(&config).await?;
        Ok(Cloud { config, options: options.clone(), meter: Meter::default() })
    }

    /// What the clients counted.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The server that was named in place of Amazon's, if any.
    pub fn endpoint_url(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// Whether requests say that we pay for them.
    pub fn requester_pays(&self) -> bool {
        self.options.requester_pays
    }

    /// A client for the region of the configuration.
    pub fn s3(&self) -> Client {
        Client::from_conf(self.s3_config().build())
    }

    /// A client for `region`.
    pub fn s3_in(&self, region: &str) -> Client {
        Client::from_conf(self.s3_config().region(Region::new(region.to_owned())).build())
    }

    fn s3_config(&self) -> aws_sdk_s3::config::Builder {
        // The SDK's own allowance of retries is for the whole process and used up within seconds by a busy bucket;
        // after that nothing would be tried again. What bounds ours is the number of attempts, and the throttle.
        let retries = RetryPartition::custom("s3trail").token_bucket(TokenBucket::unlimited()).build();
        aws_sdk_s3::config::Builder::from(&self.config)
            .force_path_style(self.options.path_style)
            .retry_partition(retries)
            .interceptor(self.meter.clone())
    }

    /// A client for access points, in the region of the configuration.
    pub fn s3control(&self) -> aws_sdk_s3control::Client {
        let config = aws_sdk_s3control::config::Builder::from(&self.config).interceptor(self.meter.clone());
        aws_sdk_s3control::Client::from_conf(config.build())
    }

    /// A client that can ask whose the credentials are.
    pub fn sts(&self) -> aws_sdk_sts::Client {
        let config = aws_sdk_sts::config::Builder::from(&self.config).interceptor(self.meter.clone());
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// The account that the credentials name themselves, as those of roles and of SSO do; nobody is asked.
    pub async fn account_of_credentials(&self) -> Option<String> {
        let given = self.config.credentials_provider()?.provide_credentials().await.ok()?;
        given.account_id().map(|account| account.as_str().to_owned())
    }

    /// The region a bucket is in, which S3 says even to those it refuses; that of the configuration when the server
    /// does not say.
    ///
    /// Errors with [`ErrorKind::NotFound`] when there is no such bucket, with [`ErrorKind::Io`] when the server
    /// cannot be reached.
    pub async fn region_of(&self, bucket: &str) -> Result<String> {
        let own = || self.config.region().map_or(FALLBACK_REGION, Region::as_ref).to_owned();
        let error = match self.s3().head_bucket().bucket(bucket).send().await {
            Ok(head) => return Ok(head.bucket_region.unwrap_or_else(own)),
            Err(e) => e,
        };
        let response = error.raw_response();
        if let Some(region) = response.and_then(|r| r.headers().get("x-amz-bucket-region")) {
            return Ok(region.to_owned());
        }
        match response.map(|r| r.status().as_u16()) {
            Some(404) => {
                Err(Error::new(ErrorKind::NotFound, "there is no such bucket").with_context("bucket", bucket))
            }
            Some(_) => Ok(own()),
            None => Err(unreachable("ask for the bucket", bucket, error)),
        }
    }

    /// The objects of a bucket below `prefix`, for the lake.
    ///
    /// Errors as [`Cloud::region_of`].
    pub async fn object_store(&self, bucket: &str, prefix: &str) -> Result<Arc<dyn ObjectStore>> {
        let region = self.region_of(bucket).await?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_virtual_hosted_style_request(!self.options.path_style)
            .with_request_payer(self.options.requester_pays)
            .with_client_options(
                ClientOptions::new()
                    .with_config(ClientConfigKey::UserAgent, USER_AGENT)
                    .with_allow_http(true),
            )
            .with_allow_http(true);
        if let Some(url) = self.config.endpoint_url() {
            // In virtual-hosted style the name of the bucket is part of the host that is given.
            let url = match self.options.path_style {
                true => url.to_owned(),
                false => url.replacen("://", &format!("://{bucket}."), 1),
            };
            builder = builder.with_endpoint(url);
        }
        if let Some(credentials) = credentials::bridge(&self.config) {
            builder = builder.with_credentials(credentials);
        }
        let store = builder.build().map_err(|e| {
            Error::usage("the lake's bucket cannot be used").with_context("bucket", bucket).with_source(e)
        })?;
        Ok(match prefix.trim_matches('/') {
            "" => Arc::new(store),
            prefix => Arc::new(PrefixStore::new(store, prefix)),
        })
    }
}

/// The server could not be asked.
#[cold]
pub(crate) fn unreachable(
    what: &str,
    bucket: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {what}"))
        .with_context("bucket", bucket)
        .with_source(source)
        .with_hint("is the network there, and --endpoint-url right?")
}
