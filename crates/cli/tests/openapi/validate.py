"""Validates answers against schemas of an OpenAPI document: validate.py DOCUMENT < LINES.

Each line is JSON: {"what": ..., "schema": ..., "instance": ...}. Each fault is a line; with any the exit is 1.
"""

import json
import sys

import jsonschema_rs


def faults(document, line):
    case = json.loads(line)
    schema = {**case["schema"], "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    for error in validator.iter_errors(case["instance"]):
        place = "/".join(str(step) for step in error.instance_path)
        yield f"{case['what']}: {place}: {error.message}"


with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)
found = [fault for line in sys.stdin for fault in faults(document, line)]
print("\n".join(found))
sys.exit(1 if found else 0)
