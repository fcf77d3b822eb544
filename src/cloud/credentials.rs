//! Credentials: whether there are any, and how the lake's store gets those of the SDK.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use object_store::CredentialProvider;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use tokio::sync::Mutex;

use crate::error::{Error, Result};

/// Credentials are asked for again so long before they expire.
const EARLY: Duration = Duration::from_secs(300);

/// Says early and in plain words when there are no credentials.
pub(super) async fn check(config: &SdkConfig) -> Result<()> {
    let none = || {
        Error::usage("there are no AWS credentials").with_hint(
            "set AWS_PROFILE or --profile, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with: aws sso login",
        )
    };
    let provider = config.credentials_provider().ok_or_else(none)?;
    provider.provide_credentials().await.map(drop).map_err(|e| none().with_source(e))
}

/// The SDK's credentials for the store of the lake.
pub(super) fn bridge(config: &SdkConfig) -> Option<AwsCredentialProvider> {
    let provider = config.credentials_provider()?;
    Some(Arc::new(Bridge { provider, cached: Mutex::new(None) }))
}

/// Asks the SDK's provider when what it gave last is about to expire.
#[derive(Debug)]
struct Bridge {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug)]
struct Cached {
    credential: Arc<AwsCredential>,
    expiry: Option<SystemTime>,
}

#[async_trait]
impl CredentialProvider for Bridge {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut cached = self.cached.lock().await;
        if let Some(known) = cached.as_ref()
            && known.expiry.is_none_or(|expiry| expiry > SystemTime::now() + EARLY)
        {
            return Ok(Arc::clone(&known.credential));
        }
        let given = self
            .provider
            .provide_credentials()
            .await
            .map_err(|e| object_store::Error::Generic { store: "S3", source: Box::new(e) })?;
        let credential = Arc::new(credential(&given));
        *cached = Some(Cached { credential: Arc::clone(&credential), expiry: given.expiry() });
        Ok(credential)
    }
}

fn credential(given: &Credentials) -> AwsCredential {
    AwsCredential {
        key_id: given.access_key_id().to_owned(),
        secret_key: given.secret_access_key().to_owned(),
        token: given.session_token().map(str::to_owned),
    }
}
