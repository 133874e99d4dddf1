"""Parses each line that the binary printed while the tests ran as a message of the Airbyte protocol.

Usage: parse_lines.py DIRECTORY, where the tests left a file of lines for each process
(AIRBYTE_LINES_DIR). Ends at the first line that does not fit.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from airbyte_protocol.models import AirbyteMessage, Type
from pydantic import ValidationError

# The message's own key for the payload of each type.
PAYLOADS = {
    Type.RECORD: "record",
    Type.STATE: "state",
    Type.LOG: "log",
    Type.SPEC: "spec",
    Type.CONNECTION_STATUS: "connectionStatus",
    Type.CATALOG: "catalog",
    Type.TRACE: "trace",
    Type.CONTROL: "control",
    Type.DESTINATION_CATALOG: "destination_catalog",
}
# What the test suite is known to make the binary print.
EXPECTED = set(PAYLOADS) - {Type.RECORD, Type.CATALOG}


def parse(line: str) -> Type:
    """The type of a line's message, which has the payload of its type and nothing beside it."""
    message = AirbyteMessage.model_validate_json(line)
    payload = PAYLOADS[message.type]
    keys = set(json.loads(line))
    if keys != {"type", payload} or getattr(message, payload) is None:
        raise ValueError(f"a {message.type.value} message has the keys type and {payload}, not {keys}")
    return message.type


def main(directory: str) -> None:
    files = sorted(Path(directory).glob("*.jsonl"))
    seen: Counter[Type] = Counter()
    for path in files:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    seen[parse(line)] += 1
                except (ValidationError, ValueError) as error:
                    sys.exit(f"{path}:{number} is no Airbyte message: {line.rstrip()[:500]}\n{error}")
    types = ", ".join(f"{count} {kind.value}" for kind, count in seen.most_common())
    print(f"{seen.total()} lines of {len(files)} processes are Airbyte messages: {types}")
    missing = EXPECTED - set(seen)
    if missing:
        sys.exit(f"{directory} holds no {', '.join(sorted(kind.value for kind in missing))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
