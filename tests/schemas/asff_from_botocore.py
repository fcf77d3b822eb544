#!/usr/bin/env python3
"""JSON Schema of BatchImportFindings requests, from the service model in botocore.

    python3 -m venv /tmp/botocore && /tmp/botocore/bin/pip install botocore==1.44.5
    /tmp/botocore/bin/python tests/schemas/asff_from_botocore.py > tests/schemas/asff-2018-10-08.json

Takes the shapes that the request reaches, without descriptions. The model itself limits few lengths: the others stand in
its documentation, in words, and are read from there. Of the details of a resource, a union of a hundred types, only
AwsS3Bucket is kept, since s3trail names no other.
"""

import gzip
import html
import json
import pathlib
import re
import sys

import botocore

ROOT = "BatchImportFindingsRequest"
# Members kept of shapes that are too large to keep whole.
KEPT = {"ResourceDetails": {"AwsS3Bucket"}}
SCALARS = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "long": {"type": "integer"},
    "double": {"type": "number"},
    "timestamp": {"type": "string", "format": "date-time"},
}


def words(member):
    """The documentation of a member as plain text."""
    return html.unescape(re.sub(r"<[^>]*>", "", member.get("documentation", "")))


def number(pattern, text):
    found = re.search(pattern, text)
    return int(found.group(1)) if found else None


def documented_limits(text, kind):
    """Limits that the documentation of a member gives, as keywords."""
    limits = {}
    if kind == "string":
        limits["minLength"] = number(r"Minimum (?:length )?of (\d+)", text)
        limits["maxLength"] = number(r"Maximum (?:length )?of (\d+)", text)
        if longest := number(r"Length Constraints: (\d+)\.", text):
            limits["maxLength"] = longest
    elif kind == "list":
        limits["minItems"] = number(r"Minimum number of (\d+) item", text)
        limits["maxItems"] = number(r"Maximum number of (\d+) item", text)
    elif kind == "map":
        limits["maxProperties"] = number(r"up to (\d+) key-value pairs", text)
        if longest := number(r"key can contain up to (\d+) characters", text):
            limits["propertyNames"] = {"maxLength": longest}
        if longest := number(r"value can contain up to (\d+) characters", text):
            limits["additionalProperties"] = {"allOf": [{"$ref": "#/$defs/NonEmptyString"}], "maxLength": longest}
    return {name: limit for name, limit in limits.items() if limit is not None}


def schema(name, shapes, definitions):
    """Defines shape `name` and all it reaches; returns a reference to it."""
    reference = {"$ref": f"#/$defs/{name}"}
    if name in definitions:
        return reference
    definitions[name] = {}
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        kept = KEPT.get(name, shape["members"].keys())
        properties = {}
        for member, of in sorted(shape["members"].items()):
            if member not in kept:
                continue
            properties[member] = schema(of["shape"], shapes, definitions)
            properties[member].update(documented_limits(words(of), shapes[of["shape"]]["type"]))
        result = {"type": "object", "properties": properties, "additionalProperties": False}
        if required := shape.get("required"):
            result["required"] = sorted(required)
    elif kind == "list":
        result = {"type": "array", "items": schema(shape["member"]["shape"], shapes, definitions)}
        result.update({to: shape[at] for at, to in (("min", "minItems"), ("max", "maxItems")) if at in shape})
    elif kind == "map":
        result = {
            "type": "object",
            "propertyNames": schema(shape["key"]["shape"], shapes, definitions),
            "additionalProperties": schema(shape["value"]["shape"], shapes, definitions),
        }
    else:
        result = dict(SCALARS[kind])
        result.update({to: shape[to] for to in ("enum", "pattern") if to in shape})
        bounds = (("minLength", "maxLength") if kind == "string" else ("minimum", "maximum"))
        result.update({to: shape[at] for at, to in zip(("min", "max"), bounds) if at in shape})
    definitions[name] = result
    return reference


def main():
    data = pathlib.Path(botocore.__file__).parent / "data" / "securityhub" / "2018-10-26" / "service-2.json.gz"
    shapes = json.load(gzip.open(data))["shapes"]
    definitions = {}
    root = schema(ROOT, shapes, definitions)
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"asff_from_botocore.py, botocore {botocore.__version__}, Apache-2.0",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
