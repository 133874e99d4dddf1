#!/usr/bin/env python3
"""A small Airbyte source: accounts and contacts as the config asks for, and a state after each stream.

Config: {"accounts": 5, "contacts": 20, "revision": 1}. Two revisions differ in every record but
its key.
"""

import argparse
import json
import sys

KEY = "Ext_Id__c"
TYPES = {
    "Account": {
        KEY: {"type": "string"},
        "Name": {"type": ["null", "string"]},
        "NumberOfEmployees": {"type": ["null", "integer"]},
        "Description": {"type": ["null", "string"]},
    },
    "Contact": {
        KEY: {"type": "string"},
        "LastName": {"type": ["null", "string"]},
        "Email": {"type": ["null", "string"]},
        "Birthdate": {"type": ["null", "string"], "format": "date"},
        "DoNotCall": {"type": ["null", "boolean"]},
        "Revenue_Share__c": {"type": ["null", "number"]},
    },
}


def account(number: int, revision: int) -> dict:
    return {
        KEY: f"A-{number}",
        "Name": f'Œuvre "{number}", Ltd.',
        "NumberOfEmployees": number * 10 + revision,
        "Description": f"revision {revision}\nof {number}",
    }


def contact(number: int, revision: int) -> dict:
    return {
        KEY: f"C-{number}",
        "LastName": f"Ng {number} {revision}",
        "Email": None if number % 3 == 0 else f"c{number}@example.com",
        "Birthdate": f"1980-01-{number % 28 + 1:02}",
        "DoNotCall": number % 2 == 0,
        "Revenue_Share__c": number + 0.25,
    }


def records(stream: str, config: dict) -> list[dict]:
    make, count = {"Account": (account, "accounts"), "Contact": (contact, "contacts")}[stream]
    return [make(number, config["revision"]) for number in range(config[count])]


def catalog() -> dict:
    streams = [
        {
            "name": name,
            "json_schema": {"type": "object", "properties": properties},
            "supported_sync_modes": ["full_refresh", "incremental"],
            "source_defined_cursor": True,
            "source_defined_primary_key": [[KEY]],
        }
        for name, properties in TYPES.items()
    ]
    return {"streams": streams}


def say(kind: str, key: str, payload: dict) -> None:
    print(json.dumps({"type": kind, key: payload}), flush=True)


def status(stream: str, status: str) -> None:
    descriptor = {"name": stream}
    trace = {"stream_descriptor": descriptor, "status": status}
    emitted_at = 1700000000000.0
    say("TRACE", "trace", {"type": "STREAM_STATUS", "emitted_at": emitted_at, "stream_status": trace})


def read(config: dict, configured: dict) -> None:
    for stream in (entry["stream"]["name"] for entry in configured["streams"]):
        status(stream, "STARTED")
        status(stream, "RUNNING")
        for data in records(stream, config):
            say("RECORD", "record", {"stream": stream, "data": data, "emitted_at": 1700000000000})
        state = {"revision": config["revision"]}
        stream_state = {"stream_descriptor": {"name": stream}, "stream_state": state}
        say("STATE", "state", {"type": "STREAM", "stream": stream_state})
        status(stream, "COMPLETE")


def load(path: str) -> dict:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["spec", "check", "discover", "read"])
    for option in ["--config", "--catalog", "--state"]:
        parser.add_argument(option)
    arguments = parser.parse_args()
    if arguments.command == "spec":
        properties = {key: {"type": "integer"} for key in ["accounts", "contacts", "revision"]}
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        say("SPEC", "spec", {"connectionSpecification": schema})
    elif arguments.command == "check":
        say("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
    elif arguments.command == "discover":
        say("CATALOG", "catalog", catalog())
    else:
        read(load(arguments.config), load(arguments.catalog))


if __name__ == "__main__":
    sys.exit(main())
