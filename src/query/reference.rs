//! Reference tables: what no log says and queries need. Prices and quotas differ by region, account and year,
//! so they are settings; what is built in is one published version of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field as Column, Schema};
use datafusion::datasource::MemTable;

use super::Engine;
use crate::error::Result;

/// Item, US dollars, what they buy: S3 Standard in us-east-1 (Amazon S3 pricing, 2025).
const PRICES: [(&str, f64, &str); 6] = [
    ("storage_gb_month", 0.023, "one GB stored for one month"),
    ("requests_write_1000", 0.005, "1,000 PUT, COPY, POST or LIST requests"),
    ("requests_read_1000", 0.0004, "1,000 GET, SELECT and all other requests; DELETE is free"),
    ("transfer_out_gb", 0.09, "one GB sent to the internet"),
    ("lifecycle_transition_1000", 0.01, "1,000 transitions to Standard-IA; colder classes cost more"),
    ("event_1000", 0.0002, "1,000 invocations by an event notification, without their running time"),
];

/// Region and cryptographic KMS requests a second, all callers of the account together (AWS KMS request
/// quotas, one of their versions; they have been raised since). `*` is every other region.
const KMS_QUOTAS: [(&str, i64); 10] = [
    ("*", 5_500),
    ("us-east-1", 30_000),
    ("us-west-2", 30_000),
    ("eu-west-1", 30_000),
    ("us-east-2", 10_000),
    ("ap-southeast-1", 10_000),
    ("ap-southeast-2", 10_000),
    ("ap-northeast-1", 10_000),
    ("eu-central-1", 10_000),
    ("eu-west-2", 10_000),
];

/// What the settings say beside or in place of what is built in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reference {
    /// US dollars by item.
    pub prices: BTreeMap<String, f64>,
    /// Requests a second by region.
    pub kms_quotas: BTreeMap<String, i64>,
}

impl Reference {
    /// The names a price can have.
    pub fn price_items() -> impl Iterator<Item = &'static str> {
        PRICES.iter().map(|(item, _, _)| *item)
    }
}

/// Makes the tables `prices` (item, usd, buys) and `kms_quotas` (region, requests_per_second) known.
///
/// # Errors
///
/// [`ErrorKind::Query`](crate::error::ErrorKind::Query) when the session refuses them.
pub async fn register(engine: &Engine, reference: &Reference) -> Result<()> {
    let usd = PRICES.iter().map(|(item, usd, _)| *reference.prices.get(*item).unwrap_or(usd));
    let prices = RecordBatch::try_new(
        Arc::new(Schema::new(vec![
            Column::new("item", DataType::Utf8View, false),
            Column::new("usd", DataType::Float64, false),
            Column::new("buys", DataType::Utf8View, false),
        ])),
        vec![
            Arc::new(StringViewArray::from_iter_values(Reference::price_items())),
            Arc::new(usd.collect::<Float64Array>()),
            Arc::new(StringViewArray::from_iter_values(PRICES.iter().map(|(_, _, buys)| *buys))),
        ],
    );
    let mut quotas: BTreeMap<&str, i64> = KMS_QUOTAS.into_iter().collect();
    quotas.extend(reference.kms_quotas.iter().map(|(region, quota)| (region.as_str(), *quota)));
    let kms_quotas = RecordBatch::try_new(
        Arc::new(Schema::new(vec![
            Column::new("region", DataType::Utf8View, false),
            Column::new("requests_per_second", DataType::Int64, false),
        ])),
        vec![
            Arc::new(StringViewArray::from_iter_values(quotas.keys())),
            Arc::new(Int64Array::from_iter_values(quotas.into_values())),
        ],
    );
    for (name, rows) in [("prices", prices), ("kms_quotas", kms_quotas)] {
        let rows = rows.map_err(|error| Engine::query_error(error.into()))?;
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(Engine::query_error)?;
        engine.register_table(name, Arc::new(table)).await?;
    }
    Ok(())
}
