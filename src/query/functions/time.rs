//! `date_trunc`, fast for our times.
//!
//! DataFusion's own looks every value of a column with a time zone up in the rules of that zone. All times of the lake
//! are UTC, which has none: the same function, given the values without their zone, says the same several times as
//! fast.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, make_array};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The function, in place of DataFusion's.
pub(in crate::query) fn date_trunc() -> ScalarUDF {
    ScalarUDF::from(DateTrunc(datafusion::functions::datetime::date_trunc()))
}

#[derive(Debug)]
struct DateTrunc(Arc<ScalarUDF>);

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn aliases(&self) -> &[String] {
        self.0.aliases()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.0.return_type(arguments)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.0.return_field_from_args(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [_, ColumnarValue::Array(times)] = args.args.as_mut_slice() else {
            return self.0.invoke_with_args(args);
        };
        let data_type = times.data_type().clone();
        let DataType::Timestamp(unit, Some(zone)) = &data_type else { return self.0.invoke_with_args(args) };
        if zone.as_ref() != "UTC" {
            return self.0.invoke_with_args(args);
        }
        let without_zone = DataType::Timestamp(*unit, None);
        *times = zoned(times, without_zone.clone())?;
        args.return_field = Arc::new(args.return_field.as_ref().clone().with_data_type(without_zone));
        let ColumnarValue::Array(truncated) = self.0.invoke_with_args(args)? else {
            return datafusion::common::internal_err!("date_trunc of a column is no column");
        };
        Ok(ColumnarValue::Array(zoned(&truncated, data_type)?))
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.0.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.0.documentation()
    }
}

/// The same instants with another time zone, or none.
fn zoned(times: &ArrayRef, data_type: DataType) -> Result<ArrayRef> {
    // Not a cast, which would look at every value.
    Ok(make_array(times.to_data().into_builder().data_type(data_type).build()?))
}

impl PartialEq for DateTrunc {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for DateTrunc {}

impl Hash for DateTrunc {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::invoke;
    use super::*;
    use arrow::array::TimestampMicrosecondArray;
    use datafusion::common::ScalarValue;

    #[test]
    fn it_says_what_the_other_one_says() {
        // Before and after 1970, at the ends of days, years and leap days, and no time.
        let micros =
            [-1, 0, 951_782_399_999_999, 951_782_400_000_000, 1_772_323_200_000_000, 1_798_761_599_999_999];
        let values = micros.into_iter().map(Some).chain([None]);
        let times: ArrayRef = Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"));
        let theirs = datafusion::functions::datetime::date_trunc();
        for part in ["second", "minute", "hour", "day", "week", "month", "quarter", "year"] {
            let args = || {
                let part = ColumnarValue::Scalar(ScalarValue::from(part));
                vec![part, ColumnarValue::Array(Arc::clone(&times))]
            };
            let result = |function: &ScalarUDF| match invoke(function, args(), times.len()) {
                ColumnarValue::Array(result) => result,
                ColumnarValue::Scalar(_) => panic!("a column gives a column"),
            };
            assert_eq!(&result(&date_trunc()), &result(&theirs), "{part}");
        }
    }
}
