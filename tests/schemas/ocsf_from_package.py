#!/usr/bin/env python3
"""JSON Schema of OCSF Detection Findings, from the PyPI package ocsf-json-schema.

    python3 -m venv /tmp/ocsf && /tmp/ocsf/bin/pip install ocsf-json-schema==1.2.0
    /tmp/ocsf/bin/python tests/schemas/ocsf_from_package.py 1.1.0 > tests/schemas/ocsf-1.1.0-detection-finding.json

Names are sorted, so that the file is the same in every run. Titles are left out, and so are patterns: s3trail writes no
attribute that has one, and some of them are no regular expressions to every engine.
"""

import json
import sys

from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema


def pruned(schema):
    if isinstance(schema, list):
        return [pruned(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {}
    for name, value in sorted(schema.items()):
        if name in ("properties", "$defs"):
            result[name] = {inner: pruned(value[inner]) for inner in sorted(value)}
        elif name == "enum":
            result[name] = sorted(value)
        elif name not in ("title", "pattern"):
            result[name] = pruned(value)
    return result


def main():
    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=sys.argv[1]))
    json.dump(pruned(schemas.get_class_schema("detection_finding", ["cloud"])), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
