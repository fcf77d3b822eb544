//! Counts what passes between us and AWS, and signs our requests with our name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_s3::config::interceptors::{BeforeTransmitInterceptorContextMut, FinalizerInterceptorContextRef};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_runtime_api::client::retries::RequestAttempts;

use super::USER_AGENT;

/// Counters of all clients of one [`Cloud`](super::Cloud); clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    retries: AtomicU64,
    slow_downs: AtomicU64,
}

impl Meter {
    /// Requests sent again because an attempt had failed.
    pub fn retries(&self) -> u64 {
        self.counts.retries.load(Ordering::Relaxed)
    }

    /// Answers that asked for fewer requests: 503 and 429.
    pub fn slow_downs(&self) -> u64 {
        self.counts.slow_downs.load(Ordering::Relaxed)
    }
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "s3trail"
    }

    /// The last moment before a request is sent: the SDK has put its own name there, which is not signed.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if config.load::<RequestAttempts>().is_some_and(|made| made.attempts() > 1) {
            self.counts.retries.fetch_add(1, Ordering::Relaxed);
        }
        let headers = context.request_mut().headers_mut();
        let name = match headers.get("user-agent") {
            Some(sdk) if !sdk.starts_with(USER_AGENT) => format!("{USER_AGENT} {sdk}"),
            Some(_) => return Ok(()),
            None => USER_AGENT.to_owned(),
        };
        headers.insert("user-agent", name);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if context.response().is_some_and(|response| matches!(response.status().as_u16(), 429 | 503)) {
            self.counts.slow_downs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
