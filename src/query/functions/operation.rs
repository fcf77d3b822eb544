//! What was done: the operation of a record, taken apart.
//!
//! Operations are an open vocabulary of AWS's: `REST.method.resource`, `WEBSITE.method.resource`,
//! `SOAP.method.resource`, `BATCH.DELETE.OBJECT` and `S3.action.resource`. No complete list exists; the
//! classes below go by method and resource, so that an operation never seen before still finds one.

use std::borrow::Cow;

use super::{Row, Spec};

const OPERATION: (&str, &str) = ("operation", "The operation of a record");

pub(super) const FUNCTIONS: &[Spec] = &[
    Spec {
        name: "operation_method",
        arguments: &[OPERATION],
        description: "The second part of an operation: GET, PUT, COPY, EXPIRE and so on.",
        example: "operation_method('REST.GET.OBJECT') -> GET",
        row: Row::One(method),
    },
    Spec {
        name: "operation_resource",
        arguments: &[OPERATION],
        description: "What follows the second part of an operation: OBJECT, BUCKETPOLICY, LOGGING_STATUS and so on; \
                      null when nothing does.",
        example: "operation_resource('REST.PUT.LOGGING_STATUS') -> LOGGING_STATUS",
        row: Row::One(resource),
    },
    Spec {
        name: "operation_class",
        arguments: &[OPERATION],
        description: "What the operation does: read, write, delete, list, restore, config_read, config_write, \
                      preflight, internal (S3 itself: lifecycle, end of a restore, checksums) or other.",
        example: "operation_class('BATCH.DELETE.OBJECT') -> delete",
        row: Row::Word(class),
    },
];

/// Interface, method and resource; what is missing is empty.
fn parts(operation: &str) -> (&str, &str, &str) {
    let (interface, rest) = operation.split_once('.').unwrap_or((operation, ""));
    let (method, resource) = rest.split_once('.').unwrap_or((rest, ""));
    (interface, method, resource)
}

fn method(operation: Option<&str>) -> Option<Cow<'_, str>> {
    let (_, method, _) = parts(operation?);
    (!method.is_empty()).then_some(Cow::Borrowed(method))
}

fn resource(operation: Option<&str>) -> Option<Cow<'_, str>> {
    let (_, _, resource) = parts(operation?);
    (!resource.is_empty()).then_some(Cow::Borrowed(resource))
}

fn class(operation: Option<&str>) -> Option<&'static str> {
    let (interface, method, resource) = parts(operation?);
    Some(match (interface, method, resource) {
        ("S3", ..) => "internal",
        (_, "OPTIONS", _) => "preflight",
        (_, _, "OBJECT_GET" | "PART_GET") | (_, "POST", "SELECT") => "read",
        (_, "GET" | "HEAD", "OBJECT" | "PART" | "OBJECT_ATTRIBUTES" | "TORRENT") => "read",
        (_, "GET" | "HEAD", "BUCKET" | "BUCKETVERSIONS" | "UPLOADS" | "UPLOAD") => "list",
        (_, "DELETE", "OBJECT" | "UPLOAD") | (_, "POST", "MULTI_OBJECT_DELETE") => "delete",
        (_, "PUT" | "POST" | "COPY", "OBJECT" | "PART" | "UPLOAD" | "UPLOADS") => "write",
        (_, "POST", "RESTORE") => "restore",
        (_, _, "") => "other",
        (_, "GET" | "HEAD", _) => "config_read",
        (_, "PUT" | "POST" | "DELETE", _) => "config_write",
        _ => "other",
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::call;

    #[test]
    fn operations_are_taken_apart() {
        let cases = [
            ("REST.GET.OBJECT", Some("GET"), Some("OBJECT"), "read"),
            ("REST.HEAD.OBJECT", Some("HEAD"), Some("OBJECT"), "read"),
            ("REST.COPY.OBJECT", Some("COPY"), Some("OBJECT"), "write"),
            ("REST.COPY.OBJECT_GET", Some("COPY"), Some("OBJECT_GET"), "read"),
            ("REST.COPY.PART_GET", Some("COPY"), Some("PART_GET"), "read"),
            ("REST.PUT.PART", Some("PUT"), Some("PART"), "write"),
            ("REST.POST.UPLOADS", Some("POST"), Some("UPLOADS"), "write"),
            ("REST.GET.UPLOADS", Some("GET"), Some("UPLOADS"), "list"),
            ("REST.DELETE.UPLOAD", Some("DELETE"), Some("UPLOAD"), "delete"),
            ("REST.POST.MULTI_OBJECT_DELETE", Some("POST"), Some("MULTI_OBJECT_DELETE"), "delete"),
            ("BATCH.DELETE.OBJECT", Some("DELETE"), Some("OBJECT"), "delete"),
            ("REST.GET.BUCKET", Some("GET"), Some("BUCKET"), "list"),
            ("REST.DELETE.BUCKET", Some("DELETE"), Some("BUCKET"), "config_write"),
            ("REST.PUT.LOGGING_STATUS", Some("PUT"), Some("LOGGING_STATUS"), "config_write"),
            ("REST.GET.ACL", Some("GET"), Some("ACL"), "config_read"),
            ("REST.POST.RESTORE", Some("POST"), Some("RESTORE"), "restore"),
            ("REST.OPTIONS.PREFLIGHT", Some("OPTIONS"), Some("PREFLIGHT"), "preflight"),
            ("S3.EXPIRE.OBJECT", Some("EXPIRE"), Some("OBJECT"), "internal"),
            ("S3.TRANSITION_SIA.OBJECT", Some("TRANSITION_SIA"), Some("OBJECT"), "internal"),
            ("S3.COMPUTE.OBJECT.CHECKSUM", Some("COMPUTE"), Some("OBJECT.CHECKSUM"), "internal"),
            ("WEBSITE.GET.OBJECT", Some("GET"), Some("OBJECT"), "read"),
            ("WEBSITE.INVALIDOPERATION", Some("INVALIDOPERATION"), None, "other"),
            ("SOAP.PUT.OBJECT", Some("PUT"), Some("OBJECT"), "write"),
            ("REST.PATCH.BUCKET", Some("PATCH"), Some("BUCKET"), "other"),
            ("", None, None, "other"),
        ];
        for (operation, method, resource, class) in cases {
            let of = |function| call(function, &[Some(operation)]);
            assert_eq!(of("operation_method").as_deref(), method, "{operation}");
            assert_eq!(of("operation_resource").as_deref(), resource, "{operation}");
            assert_eq!(of("operation_class").as_deref(), Some(class), "{operation}");
        }
    }
}
