//! Addresses: membership in a network, and what kind of network it is.
//!
//! IPv4 and IPv6 in any spelling; an IPv4 address written as IPv6 (`::ffff:192.0.2.1`) counts as IPv4.
//! Published logs often mask addresses, so text that is no address is expected, and never an error.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Row, Spec, Text, TextFunction, documentation, finish, is_constant, string_view};

pub(super) static IP_CLASS: Spec = Spec {
    name: "ip_class",
    arguments: &[("ip", "An IPv4 or IPv6 address")],
    description: "What kind of address it is: public, private, shared (100.64.0.0/10), loopback, link_local, \
                  documentation, multicast or reserved; `unparsable` for masked addresses and other text.",
    example: "ip_class('172.31.0.9') -> private",
    row: Row::Word(class),
};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![ScalarUDF::from(TextFunction::new(&IP_CLASS)), ScalarUDF::from(IpInCidr::new())]
}

/// Networks that are not the public internet, by IANA's special-purpose registries.
const CLASSES: &[(&str, &str)] = &[
    ("10.0.0.0/8", "private"),
    ("172.16.0.0/12", "private"),
    ("192.168.0.0/16", "private"),
    ("100.64.0.0/10", "shared"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link_local"),
    ("192.0.2.0/24", "documentation"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("0.0.0.0/8", "reserved"),
    ("192.0.0.0/24", "reserved"),
    ("198.18.0.0/15", "reserved"),
    ("240.0.0.0/4", "reserved"),
    ("::1/128", "loopback"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link_local"),
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),
    ("ff00::/8", "multicast"),
    ("::/128", "reserved"),
    ("64:ff9b:1::/48", "reserved"),
    ("100::/64", "reserved"),
    ("5f00::/16", "reserved"),
    ("fec0::/10", "reserved"),
];

static CLASS_NETS: LazyLock<Vec<(IpNet, &'static str)>> =
    LazyLock::new(|| CLASSES.iter().filter_map(|(cidr, class)| Some((parse_cidr(cidr)?, *class))).collect());

fn class(ip: Option<&str>) -> Option<&'static str> {
    let Some(ip) = parse_ip(ip?) else {
        return Some("unparsable");
    };
    let found = CLASS_NETS.iter().find(|(net, _)| net.contains(&ip));
    Some(found.map_or("public", |(_, class)| class))
}

/// An address in canonical form: IPv4 also when it is written as IPv6.
fn parse_ip(text: &str) -> Option<IpAddr> {
    IpAddr::from_str(text).ok().map(|ip| ip.to_canonical())
}

/// A network in CIDR notation, or one address; host bits are ignored, IPv4 in IPv6 becomes IPv4.
pub(in crate::query) fn parse_cidr(text: &str) -> Option<IpNet> {
    let net = match IpNet::from_str(text) {
        Ok(net) => net,
        Err(_) => IpNet::from(IpAddr::from_str(text).ok()?),
    };
    Some(match net {
        IpNet::V6(net) => unmapped(net).map_or(IpNet::V6(net), IpNet::V4).trunc(),
        net => net.trunc(),
    })
}

/// `::ffff:a.b.c.d/96+n` as `a.b.c.d/n`.
fn unmapped(net: Ipv6Net) -> Option<Ipv4Net> {
    let address: Ipv4Addr = Ipv6Addr::to_ipv4_mapped(&net.addr())?;
    Ipv4Net::new(address, net.prefix_len().checked_sub(96)?).ok()
}

/// `ip_in_cidr(ip, cidr)`; the second argument is one network or a list of them.
#[derive(Debug)]
struct IpInCidr {
    signature: Signature,
    documentation: Documentation,
}

impl IpInCidr {
    fn new() -> Self {
        // The list comes first: any type can be coerced to text, also a list.
        let list = DataType::new_list(DataType::Utf8View, true);
        let signature = Signature::one_of(
            vec![
                TypeSignature::Exact(vec![DataType::Utf8View, list]),
                TypeSignature::Exact(vec![DataType::Utf8View, DataType::Utf8View]),
            ],
            Volatility::Immutable,
        );
        let documentation = documentation(
            "ip_in_cidr",
            &[
                ("ip", "An IPv4 or IPv6 address"),
                ("cidr", "A network such as `10.0.0.0/8`, one address, or a list of those"),
            ],
            "Whether the address is in the network, or in any network of the list. Null for text that is no address; \
             a constant that is no network is an error.",
            "ip_in_cidr('192.0.2.77', '192.0.2.0/24') -> true",
        );
        Self { signature, documentation }
    }
}

impl PartialEq for IpInCidr {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for IpInCidr {}

impl Hash for IpInCidr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        "ip_in_cidr".hash(state);
    }
}

impl ScalarUDFImpl for IpInCidr {
    fn name(&self) -> &str {
        "ip_in_cidr"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        // A wrong constant is refused when the query is planned, before anything is read.
        if let [_, Some(cidr)] = args.scalar_arguments {
            Networks::of_constant(cidr)?;
        }
        Ok(Arc::new(Field::new(self.name(), DataType::Boolean, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let is_constant = is_constant(&args.args);
        let rows = if is_constant { 1 } else { args.number_rows };
        let [ip, cidr] = args.args.as_slice() else {
            return plan_err!("ip_in_cidr takes an address and a network");
        };
        let ips = Text::new(ip)?;
        let networks = Networks::new(cidr)?;
        let result: BooleanArray =
            (0..rows).map(|row| networks.contain(row, &parse_ip(ips.get(row)?)?)).collect();
        finish(Arc::new(result), is_constant)
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The second argument of `ip_in_cidr`. `None` stands for null.
enum Networks {
    /// The same networks for every row.
    Same(Option<Vec<IpNet>>),
    /// Networks of each row; those that do not parse are null.
    Rows(Vec<Option<Vec<IpNet>>>),
}

impl Networks {
    fn new(value: &ColumnarValue) -> DfResult<Self> {
        let array = match value {
            ColumnarValue::Scalar(scalar) => return Ok(Networks::Same(Self::of_constant(scalar)?)),
            ColumnarValue::Array(array) => array,
        };
        let rows = if let Some(lists) = array.as_list_opt::<i32>() {
            lists.iter().map(|list| Self::of_list(&list?)).collect()
        } else {
            let texts = string_view(array)?;
            texts.iter().map(|text| Some(vec![parse_cidr(text?)?])).collect()
        };
        Ok(Networks::Rows(rows))
    }

    /// The networks of a constant; an error that names the first text which is none.
    fn of_constant(scalar: &ScalarValue) -> DfResult<Option<Vec<IpNet>>> {
        if scalar.is_null() {
            return Ok(None);
        }
        let texts: Vec<String> = match scalar {
            ScalarValue::List(list) => {
                let values = string_view(&list.value(0))?;
                values.iter().flatten().map(str::to_owned).collect()
            }
            other => match other.try_as_str() {
                Some(text) => text.map(str::to_owned).into_iter().collect(),
                None => return plan_err!("ip_in_cidr: expected a network, got {}", other.data_type()),
            },
        };
        let parse = |text: &String| match parse_cidr(text) {
            Some(net) => Ok(net),
            None => plan_err!("ip_in_cidr: `{text}` is no network; write it as 10.0.0.0/8 or 2001:db8::/32"),
        };
        texts.iter().map(parse).collect::<DfResult<Vec<_>>>().map(Some)
    }

    /// The networks of a list; `None` when one of its texts is no network.
    fn of_list(list: &ArrayRef) -> Option<Vec<IpNet>> {
        let texts = string_view(list).ok()?;
        texts.iter().flatten().map(parse_cidr).collect()
    }

    fn contain(&self, row: usize, ip: &IpAddr) -> Option<bool> {
        let networks = match self {
            Networks::Same(networks) => networks.as_ref()?,
            Networks::Rows(rows) => rows.get(row)?.as_ref()?,
        };
        Some(networks.iter().any(|net| net.contains(ip)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{call, invoke};
    use super::*;
    use arrow::array::StringViewArray;

    fn in_cidr(ip: &str, cidr: &str) -> Option<String> {
        call("ip_in_cidr", &[Some(ip), Some(cidr)])
    }

    #[test]
    fn networks_of_both_families() {
        let yes = Some("true".to_owned());
        let no = Some("false".to_owned());
        assert_eq!(in_cidr("192.0.2.77", "192.0.2.0/24"), yes);
        assert_eq!(in_cidr("192.0.3.1", "192.0.2.0/24"), no);
        assert_eq!(in_cidr("192.0.2.77", "192.0.2.99/24"), yes);
        assert_eq!(in_cidr("192.0.2.77", "192.0.2.77"), yes);
        assert_eq!(in_cidr("::ffff:192.0.2.77", "192.0.2.0/24"), yes);
        assert_eq!(in_cidr("192.0.2.77", "::ffff:192.0.2.0/120"), yes);
        assert_eq!(in_cidr("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::/32"), yes);
        assert_eq!(in_cidr("2001:db8::1", "0.0.0.0/0"), no);
        assert_eq!(in_cidr("192.0.2.x", "192.0.2.0/24"), None);
        assert_eq!(call("ip_in_cidr", &[None, Some("192.0.2.0/24")]), None);
        assert_eq!(call("ip_in_cidr", &[Some("192.0.2.1"), None]), None);
    }

    fn function() -> ScalarUDF {
        ScalarUDF::from(IpInCidr::new())
    }

    #[test]
    fn a_list_means_any_of_them() {
        let list = |texts: &[&str]| {
            let values: Vec<ScalarValue> = texts.iter().map(|t| ScalarValue::from(*t)).collect();
            ColumnarValue::Scalar(ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Utf8)))
        };
        let ips = || {
            let ips =
                StringViewArray::from(vec![Some("10.1.2.3"), Some("198.51.100.7"), Some("masked"), None]);
            ColumnarValue::Array(Arc::new(ips) as ArrayRef)
        };
        let of = |texts: &[&str]| match invoke(&function(), vec![ips(), list(texts)], 4) {
            ColumnarValue::Array(array) => array.as_boolean().iter().collect::<Vec<_>>(),
            ColumnarValue::Scalar(_) => panic!("a column gives a column"),
        };
        assert_eq!(of(&["192.0.2.0/24", "10.0.0.0/8"]), [Some(true), Some(false), None, None]);
        assert_eq!(of(&[]), [Some(false), Some(false), None, None]);
    }

    #[test]
    fn a_wrong_constant_is_named() {
        for cidr in ["10.0.0.0/33", "ten", ""] {
            let error = Networks::of_constant(&ScalarValue::from(cidr)).unwrap_err().to_string();
            assert!(error.contains(&format!("`{cidr}` is no network")), "{error}");
        }
        // In a column it is somebody's data: null.
        let column = ColumnarValue::Array(Arc::new(StringViewArray::from(vec!["ten"])) as ArrayRef);
        let networks = Networks::new(&column).unwrap();
        assert_eq!(networks.contain(0, &IpAddr::from([192, 0, 2, 1])), None);
    }

    #[test]
    fn classes_of_addresses() {
        assert_eq!(CLASS_NETS.len(), CLASSES.len());
        let cases = [
            ("8.8.8.8", "public"),
            ("10.32.219.38", "private"),
            ("172.15.255.255", "public"),
            ("172.31.0.9", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "shared"),
            ("127.0.0.1", "loopback"),
            ("169.254.169.254", "link_local"),
            ("203.0.113.5", "documentation"),
            ("239.1.1.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("0.0.0.0", "reserved"),
            ("::1", "loopback"),
            ("::", "reserved"),
            ("fd12::1", "private"),
            ("fe80::1", "link_local"),
            ("2001:db8::1", "documentation"),
            ("2600:1f18::1", "public"),
            ("::ffff:10.0.0.1", "private"),
            ("ff02::1", "multicast"),
            ("192.0.2.xxx", "unparsable"),
            ("192.0.2", "unparsable"),
            ("", "unparsable"),
        ];
        for (ip, class) in cases {
            assert_eq!(call("ip_class", &[Some(ip)]).as_deref(), Some(class), "{ip}");
        }
        assert_eq!(call("ip_class", &[None]), None);
    }
}
