//! `evidence`: the places of the first log records of a group, so that a finding can be traced to its lines.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Builder, ListArray, StringBuilder, StructArray,
    TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field as Column, FieldRef, Fields, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::ScalarValue;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature, Volatility,
};

use super::{documentation, string_view};

/// How many records a group names. A finding of a million records is proven by its first few; the rest is
/// what its query is for.
const KEPT: usize = 10;

pub(super) fn function() -> AggregateUDF {
    AggregateUDF::from(Evidence::new())
}

#[derive(Debug)]
struct Evidence {
    signature: Signature,
    documentation: Documentation,
}

impl Evidence {
    fn new() -> Self {
        let types = vec![DataType::Utf8View, DataType::Utf8View, DataType::Int64, time_type()];
        let arguments = [
            ("log_bucket", "destination bucket of the log object"),
            ("log_key", "key of the log object"),
            ("log_offset", "byte offset of the record in it; null for the whole object"),
            ("time", "time of the record"),
        ];
        Self {
            signature: Signature::exact(types, Volatility::Immutable),
            documentation: documentation(
                "evidence",
                &arguments,
                "The places of the first ten log records of a group by time, as a list of log_bucket, log_key, \
                 log_offset and time. Detections return it as their column evidence.",
                "SELECT bucket, evidence(log_bucket, log_key, log_offset, time) AS evidence FROM requests \
                 GROUP BY bucket",
            ),
        }
    }
}

// There is one such function.
impl PartialEq for Evidence {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Evidence {}

impl Hash for Evidence {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl AggregateUDFImpl for Evidence {
    fn name(&self) -> &str {
        "evidence"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DfResult<DataType> {
        Ok(list_type())
    }

    fn accumulator(&self, _arguments: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        Ok(Box::new(First::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DfResult<Vec<FieldRef>> {
        Ok(vec![Arc::new(Column::new(format!("{}[places]", args.name), list_type(), true))])
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// Where one record is.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    time: Option<i64>,
    log_bucket: Option<String>,
    log_key: Option<String>,
    log_offset: Option<i64>,
}

/// A [`Place`] not yet copied: most rows of a large group come too late to be kept.
type Borrowed<'a> = (Option<i64>, Option<&'a str>, Option<&'a str>, Option<i64>);

/// The first places of a group.
#[derive(Debug, Default)]
struct First {
    places: BTreeSet<Place>,
}

impl First {
    fn add(&mut self, (time, log_bucket, log_key, log_offset): Borrowed<'_>) {
        if self.places.len() == KEPT
            && let Some(last) = self.places.last()
        {
            let kept = (last.time, last.log_bucket.as_deref(), last.log_key.as_deref(), last.log_offset);
            if (time, log_bucket, log_key, log_offset).cmp(&kept) != Ordering::Less {
                return;
            }
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        self.places.insert(Place {
            time,
            log_bucket: owned(log_bucket),
            log_key: owned(log_key),
            log_offset,
        });
        if self.places.len() > KEPT {
            self.places.pop_last();
        }
    }

    fn add_columns(&mut self, columns: &[ArrayRef]) -> DfResult<()> {
        let (log_bucket, log_key) = (string_view(&columns[0])?, string_view(&columns[1])?);
        let log_offset = columns[2].as_primitive::<Int64Type>();
        let time = cast(&columns[3], &time_type())?;
        let time = time.as_primitive::<TimestampMicrosecondType>();
        for row in 0..time.len() {
            self.add((
                time.is_valid(row).then(|| time.value(row)),
                log_bucket.is_valid(row).then(|| log_bucket.value(row)),
                log_key.is_valid(row).then(|| log_key.value(row)),
                log_offset.is_valid(row).then(|| log_offset.value(row)),
            ));
        }
        Ok(())
    }

    fn list(&self) -> ListArray {
        let places = self.places.len();
        let texts = || StringBuilder::with_capacity(places, places * 64);
        let (mut log_buckets, mut log_keys) = (texts(), texts());
        let mut log_offsets = Int64Builder::with_capacity(places);
        let mut times = TimestampMicrosecondBuilder::with_capacity(places).with_timezone("UTC");
        for place in &self.places {
            log_buckets.append_option(place.log_bucket.as_deref());
            log_keys.append_option(place.log_key.as_deref());
            log_offsets.append_option(place.log_offset);
            times.append_option(place.time);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(log_buckets.finish()),
            Arc::new(log_keys.finish()),
            Arc::new(log_offsets.finish()),
            Arc::new(times.finish()),
        ];
        let places = StructArray::new(place_fields(), columns, None);
        let offsets = OffsetBuffer::from_lengths([self.places.len()]);
        ListArray::new(item(), offsets, Arc::new(places), None)
    }
}

impl Accumulator for First {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> DfResult<()> {
        self.add_columns(columns)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let lists = states[0].as_list::<i32>();
        for row in (0..lists.len()).filter(|row| lists.is_valid(*row)) {
            // Only the places of this group: its list may be one of thousands in the same arrays.
            self.add_columns(lists.value(row).as_struct().columns())?;
        }
        Ok(())
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        Ok(ScalarValue::List(Arc::new(self.list())))
    }

    fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
        let places = self.places.iter();
        size_of::<Self>()
            + places.map(|p| size_of::<Place>() + text(&p.log_bucket) + text(&p.log_key)).sum::<usize>()
    }
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

fn place_fields() -> Fields {
    Fields::from(vec![
        Column::new("log_bucket", DataType::Utf8, true),
        Column::new("log_key", DataType::Utf8, true),
        Column::new("log_offset", DataType::Int64, true),
        Column::new("time", time_type(), true),
    ])
}

fn item() -> FieldRef {
    Arc::new(Column::new_list_field(DataType::Struct(place_fields()), true))
}

fn list_type() -> DataType {
    DataType::List(item())
}
