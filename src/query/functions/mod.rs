//! The functions that queries have besides DataFusion's own: one file per family.
//!
//! A family is a list of [`Spec`]s: name, arguments, documentation and how one row is computed. Everything
//! about columns, constants and nulls is done here once, by [`TextFunction`]. Arguments are text of any Arrow
//! kind (coerced to `Utf8View`), results are `Utf8View`. What the text says is never trusted: every input has
//! a result, nothing here fails on a row.

mod evidence;
mod ip;
mod operation;
mod principal;
mod time;
mod url;
mod user_agent;

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

pub(super) use ip::parse_cidr;
pub(super) use time::date_trunc;

/// Every function, ready to be registered in a session.
pub(super) fn all() -> Vec<ScalarUDF> {
    let mut functions: Vec<ScalarUDF> =
        specs().map(|spec| ScalarUDF::from(TextFunction::new(spec))).collect();
    functions.extend(ip::functions());
    functions
}

/// The functions that are nothing but a [`Spec`].
fn specs() -> impl Iterator<Item = &'static Spec> {
    [url::FUNCTIONS, principal::FUNCTIONS, user_agent::FUNCTIONS, operation::FUNCTIONS].into_iter().flatten()
}

/// Whether a function of that name is one of ours that has a result for every value; `ip_in_cidr` has none for what is
/// no network.
pub(super) fn never_fails(name: &str) -> bool {
    specs().any(|spec| spec.name == name) || name == ip::IP_CLASS.name
}

/// Every aggregate function, ready to be registered in a session.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    vec![evidence::function()]
}

/// How one row is computed. A missing argument is null.
enum Row {
    /// One argument to one of a few fixed words.
    Word(fn(Option<&str>) -> Option<&'static str>),
    /// One argument to text.
    One(for<'a> fn(Option<&'a str>) -> Option<Cow<'a, str>>),
    /// Two arguments to text; null when either is null.
    Two(for<'a> fn(&'a str, &str) -> Option<Cow<'a, str>>),
}

/// A function of text to text, as its family describes it.
struct Spec {
    name: &'static str,
    /// Names and meanings of the arguments; as many as `row` takes.
    arguments: &'static [(&'static str, &'static str)],
    /// What it returns, in one or two sentences.
    description: &'static str,
    /// A call and its result, as `call -> result`.
    example: &'static str,
    row: Row,
}

/// A [`Spec`] as DataFusion wants it.
struct TextFunction {
    spec: &'static Spec,
    signature: Signature,
    documentation: Documentation,
}

impl TextFunction {
    fn new(spec: &'static Spec) -> Self {
        let types = vec![DataType::Utf8View; spec.arguments.len()];
        Self {
            spec,
            signature: Signature::exact(types, Volatility::Immutable),
            documentation: documentation(spec.name, spec.arguments, spec.description, spec.example),
        }
    }
}

impl ScalarUDFImpl for TextFunction {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let is_constant = is_constant(&args.args);
        let rows = if is_constant { 1 } else { args.number_rows };
        let columns = args.args.iter().map(Text::new).collect::<DfResult<Vec<_>>>()?;
        let result = match (&self.spec.row, columns.as_slice()) {
            (Row::Word(word), [column]) => each(column, rows, |text| word(text).map(Cow::Borrowed))?,
            (Row::One(row), [column]) => each(column, rows, row)?,
            (Row::Two(row), [first, Text::Same(second)]) => {
                each(first, rows, |text| row(text?, second.as_deref()?))?
            }
            (Row::Two(row), [first, second]) => {
                Arc::new((0..rows).map(|i| row(first.get(i)?, second.get(i)?)).collect::<StringViewArray>())
            }
            _ => return exec_err!("{} was called with {} arguments", self.spec.name, columns.len()),
        };
        finish(result, is_constant)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

// A function is its name: DataFusion compares expressions by it.
impl PartialEq for TextFunction {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name
    }
}

impl Eq for TextFunction {}

impl Hash for TextFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.name.hash(state);
    }
}

impl fmt::Debug for TextFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TextFunction").field(&self.spec.name).finish()
    }
}

/// `row` of every row. Requesters, operations and user agents repeat: equal views of an array are equal texts, and are
/// looked at once, as long as there are many of them.
fn each<'t>(
    column: &'t Text,
    rows: usize,
    row: impl Fn(Option<&'t str>) -> Option<Cow<'t, str>>,
) -> DfResult<ArrayRef> {
    let array = match column {
        Text::Rows(array) => array,
        Text::Same(text) => {
            let value = row(text.as_deref());
            return Ok(Arc::new(StringViewArray::from_iter(std::iter::repeat_n(value, rows))));
        }
    };
    let mut values = StringViewBuilder::new();
    let mut count = 0_u32;
    let mut compute = |text| {
        values.append_option(row(text));
        count += 1;
        count - 1
    };
    let mut known = hashbrown::HashMap::new();
    let mut null = None;
    let mut places = Vec::with_capacity(rows);
    for (index, view) in array.views().iter().enumerate() {
        let place = match array.is_null(index) {
            true => *null.get_or_insert_with(|| compute(None)),
            false if index >= TRIED && known.len() > TRIED / 2 => compute(Some(array.value(index))),
            false => *known.entry(*view).or_insert_with(|| compute(Some(array.value(index)))),
        };
        places.push(place);
    }
    Ok(take(&values.finish(), &UInt32Array::from(places), None)?)
}

/// After so many rows it is decided whether the rest repeat.
const TRIED: usize = 512;

/// Documentation in DataFusion's form; `example` is `call -> result`.
fn documentation(name: &str, arguments: &[(&str, &str)], description: &str, example: &str) -> Documentation {
    let names: Vec<&str> = arguments.iter().map(|(name, _)| *name).collect();
    let section = DocSection { include: true, label: "S3 access logs", description: None };
    let syntax = format!("{name}({})", names.join(", "));
    let mut builder = Documentation::builder(section, description, syntax).with_sql_example(example);
    for (name, meaning) in arguments {
        builder = builder.with_argument(*name, *meaning);
    }
    builder.build()
}

/// Whether a call needs to be computed for one row only.
fn is_constant(args: &[ColumnarValue]) -> bool {
    args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
}

/// The result of a call: its only row when all arguments were constants.
fn finish(result: ArrayRef, is_constant: bool) -> DfResult<ColumnarValue> {
    if is_constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
    }
    Ok(ColumnarValue::Array(result))
}

/// A text argument: a column, or the same value in every row.
enum Text {
    Rows(StringViewArray),
    Same(Option<String>),
}

impl Text {
    fn new(value: &ColumnarValue) -> DfResult<Self> {
        match value {
            ColumnarValue::Array(array) => Ok(Text::Rows(string_view(array)?)),
            ColumnarValue::Scalar(scalar) => match scalar.try_as_str() {
                Some(text) => Ok(Text::Same(text.map(str::to_owned))),
                None if scalar.is_null() => Ok(Text::Same(None)),
                None => exec_err!("expected text, got {}", scalar.data_type()),
            },
        }
    }

    fn get(&self, row: usize) -> Option<&str> {
        match self {
            Text::Rows(array) => array.is_valid(row).then(|| array.value(row)),
            Text::Same(text) => text.as_deref(),
        }
    }
}

/// Any array of text as `Utf8View`.
fn string_view(array: &ArrayRef) -> DfResult<StringViewArray> {
    if let Some(views) = array.as_string_view_opt() {
        return Ok(views.clone());
    }
    Ok(cast(array, &DataType::Utf8View)?.as_string_view().clone())
}

/// For the families' tests: the value of a function for one row, through the real code of columns.
#[cfg(test)]
mod testing {
    use super::*;
    use arrow::datatypes::{Field, FieldRef};
    use datafusion::common::config::ConfigOptions;
    use datafusion::logical_expr::ReturnFieldArgs;

    /// Calls `name` with a column of two equal rows per argument, and with constants; both must agree.
    pub(super) fn call(name: &str, arguments: &[Option<&str>]) -> Option<String> {
        let function = all().into_iter().find(|f| f.name() == name).expect("a function of that name");
        let column = |text: &Option<&str>| {
            ColumnarValue::Array(Arc::new(StringViewArray::from(vec![*text, *text])) as ArrayRef)
        };
        let constant =
            |text: &Option<&str>| ColumnarValue::Scalar(ScalarValue::Utf8View(text.map(str::to_owned)));
        let rows = invoke(&function, arguments.iter().map(column).collect(), 2);
        let ColumnarValue::Array(rows) = rows else { panic!("{name} of columns is no column") };
        let once = invoke(&function, arguments.iter().map(constant).collect(), 2);
        let ColumnarValue::Scalar(once) = once else { panic!("{name} of constants is no constant") };
        for row in 0..2 {
            assert_eq!(ScalarValue::try_from_array(&rows, row).unwrap(), once, "{name} {arguments:?}");
        }
        (!once.is_null()).then(|| once.to_string())
    }

    pub(super) fn invoke(
        function: &ScalarUDF,
        args: Vec<ColumnarValue>,
        number_rows: usize,
    ) -> ColumnarValue {
        let field = |arg: &ColumnarValue| Arc::new(Field::new("a", arg.data_type(), true));
        let arg_fields: Vec<FieldRef> = args.iter().map(field).collect();
        let scalars: Vec<_> = args
            .iter()
            .map(|arg| match arg {
                ColumnarValue::Scalar(scalar) => Some(scalar),
                ColumnarValue::Array(_) => None,
            })
            .collect();
        let returned = ReturnFieldArgs { arg_fields: &arg_fields, scalar_arguments: &scalars };
        let return_field = function.return_field_from_args(returned).unwrap();
        function
            .invoke_with_args(ScalarFunctionArgs {
                args,
                arg_fields,
                number_rows,
                return_field,
                config_options: Arc::new(ConfigOptions::default()),
            })
            .unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{call, invoke};
    use super::*;
    use arrow::array::{LargeStringArray, StringArray};

    #[test]
    fn every_function_is_documented_and_named_once() {
        let mut names = Vec::new();
        for function in all() {
            let documentation =
                function.documentation().unwrap_or_else(|| panic!("{} has no words", function.name()));
            assert!(documentation.description.ends_with('.'), "{}", function.name());
            assert!(documentation.syntax_example.starts_with(function.name()));
            assert!(documentation.sql_example.as_deref().is_some_and(|e| e.contains(" -> ")));
            names.push(function.name().to_owned());
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_examples_of_text_functions_are_true() {
        for spec in specs() {
            let (example, result) = spec.example.split_once(" -> ").expect(spec.name);
            let arguments = example
                .strip_prefix(spec.name)
                .and_then(|rest| rest.strip_prefix("('"))
                .and_then(|rest| rest.strip_suffix("')"))
                .expect(spec.name);
            let arguments: Vec<Option<&str>> = arguments.split("', '").map(Some).collect();
            assert_eq!(call(spec.name, &arguments).as_deref(), Some(result), "{}", spec.name);
        }
    }

    #[test]
    fn null_stays_null_except_where_it_means_anonymous() {
        for spec in specs() {
            let nulls = vec![None; spec.arguments.len()];
            let expected =
                matches!(spec.name, "principal" | "principal_type").then(|| "anonymous".to_owned());
            assert_eq!(call(spec.name, &nulls), expected, "{}", spec.name);
        }
    }

    #[test]
    fn every_kind_of_text_is_read() {
        let function = all().into_iter().find(|f| f.name() == "uri_method").unwrap();
        let arrays: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec![Some("GET /a HTTP/1.1"), None])),
            Arc::new(LargeStringArray::from(vec![Some("GET /a HTTP/1.1"), None])),
            Arc::new(StringViewArray::from(vec![Some("GET /a HTTP/1.1"), None])),
        ];
        for array in arrays {
            let ColumnarValue::Array(out) = invoke(&function, vec![ColumnarValue::Array(array)], 2) else {
                panic!("a column gives a column");
            };
            assert_eq!(out.as_string_view().iter().collect::<Vec<_>>(), [Some("GET"), None]);
        }
    }

    #[test]
    fn hostile_text_has_a_result() {
        let long = "%".repeat(100_000);
        for spec in specs() {
            for text in [
                "",
                " ",
                "-",
                "%",
                "%%",
                "%f",
                "%ff",
                "?",
                "?&=&",
                "\u{0}\u{1b}[31m",
                "\"'",
                "é%C3%28",
                long.as_str(),
            ] {
                call(spec.name, &vec![Some(text); spec.arguments.len()]);
            }
        }
    }
}
