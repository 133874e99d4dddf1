"""PyAirbyte loads a simulated org through the binary; what came to the org is compared, cell by cell.

Usage: pyairbyte.py BINARY, the binary having `simulate`.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Read by PyAirbyte when it is imported: nothing is asked of the network.
os.environ["AIRBYTE_OFFLINE_MODE"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

import airbyte as ab  # noqa: E402
from airbyte import exceptions  # noqa: E402
from airbyte._message_iterators import AirbyteMessageIterator  # noqa: E402
from airbyte.progress import ProgressTracker  # noqa: E402
from airbyte.shared.catalog_providers import CatalogProvider  # noqa: E402
from airbyte.shared.state_writers import NoOpStateWriter  # noqa: E402
from airbyte.strategies import WriteStrategy  # noqa: E402
from airbyte_protocol.models import AirbyteStateMessage, ConfiguredAirbyteCatalog  # noqa: E402

import simulator  # noqa: E402
import source as source_program  # noqa: E402
from simulator import Org, simulated_org  # noqa: E402

HERE = Path(__file__).resolve().parent
KEY = source_program.KEY
STREAMS = list(source_program.TYPES)
WRONG = "not-the-client-secret"


def records(org: Org, stream: str) -> dict[str, dict]:
    """What the org holds of a stream: the fields that the source knows, of each record by its key."""
    fields = source_program.TYPES[stream]
    return {row[KEY]: {field: row.get(field) for field in fields} for row in org.rows(stream)}


def source(accounts: int, contacts: int, revision: int) -> ab.Source:
    made = ab.get_source(
        "source-small",
        local_executable=str(HERE / "source.py"),
        config={"accounts": accounts, "contacts": contacts, "revision": revision},
    )
    made.select_all_streams()
    return made


def destination(binary: str, org: Org, **settings) -> ab.Destination:
    config = simulator.CREDENTIALS | {
        "is_sandbox": False,
        "auth_type": "Client",
        "login_url": org.url,
        "object_storage_config": {"storage_type": "None"},
    }
    config |= settings
    name = "destination-salesforce"
    return ab.get_destination(name, local_executable=binary, config=config)


def cell(value) -> str | None:
    """A value as the org shows it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def sent(stream: str, config: dict) -> dict[str, dict]:
    records = source_program.records(stream, config)
    return {record[KEY]: {field: cell(record[field]) for field in record} for record in records}


def assert_holds(org: Org, config: dict, operation: str) -> None:
    """The org holds what the source reads with this config, and nothing else."""
    for stream in STREAMS:
        expected, held = sent(stream, config), records(org, stream)
        assert org.count(stream) == len(expected), (stream, org.count(stream), len(expected))
        for key, record in expected.items():
            assert held[key] == record, f"{stream}: {held[key]} in the org, {record} sent"
    assert org.operations() == {operation}, org.operations()


def assert_fails(kind: type[Exception], text: str, attempt) -> None:
    """The attempt fails with this kind of error, which says this here or in its log, no secret."""
    try:
        attempt()
    except kind as error:
        shown = f"{error!r}\n{error.log_file.read_text() if error.log_file else ''}"
        assert text in shown, f"{text!r} is not in {shown}"
        assert WRONG not in shown, "the secret is in the error"
    else:
        raise AssertionError(f"{kind.__name__} expected")


def spec(binary: str, org: Org) -> None:
    printed = json.loads(subprocess.check_output([binary, "spec"]))["spec"]
    schema = destination(binary, org).config_spec
    assert schema == printed["connectionSpecification"]
    # The config of these tests is a config by that schema.
    destination(binary, org).validate_config()


def check(binary: str, org: Org) -> None:
    destination(binary, org).check()
    wrong = destination(binary, org, client_secret=WRONG)
    assert_fails(exceptions.AirbyteConnectorCheckFailedError, "client_secret", wrong.check)


def write_appends(binary: str, org: Org) -> None:
    """Straight through, states kept: each record is inserted, with and without a cache."""
    config = {"accounts": 7, "contacts": 60, "revision": 1}
    for cache in [False, new_cache()]:
        org.reset()
        states = cache or new_cache()
        result = destination(binary, org).write(
            source(**config),
            cache=cache,
            state_cache=states,
            write_strategy=WriteStrategy.APPEND,
        )
        assert result.processed_records == 67, result.processed_records
        assert_holds(org, config, "insert")
        stored = states.get_state_provider("source-small", destination_name="destination-salesforce")
        for stream in STREAMS:
            assert stored.get_stream_state(stream).stream.stream_state.revision == 1


def write_merges(binary: str, org: Org) -> None:
    """Records that come in another revision, and some more, are changed and added."""
    first = {"accounts": 4, "contacts": 30, "revision": 1}
    second = {"accounts": 6, "contacts": 45, "revision": 2}
    for cached in [False, True]:
        org.reset()
        # For streams with a primary key, AUTO is MERGE.
        for config, strategy in [(first, WriteStrategy.MERGE), (second, WriteStrategy.AUTO)]:
            destination(binary, org).write(
                source(**config),
                cache=new_cache() if cached else False,
                state_cache=False,
                write_strategy=strategy,
            )
            assert_holds(org, config, "upsert")


class OwnCatalog(CatalogProvider):
    """A catalog that no write strategy changes: PyAirbyte itself can name no object or operation."""

    def with_write_strategy(self, write_strategy: WriteStrategy) -> CatalogProvider:
        return self


class KeptStates(NoOpStateWriter):
    """Keeps the states that come back, in their order and with the keys that they have."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[dict] = []

    def _write_state(self, state_message: AirbyteStateMessage) -> None:
        self.states.append(state_message.model_dump(mode="json", by_alias=True, exclude_none=True))


def write_contacts(binary: str, org: Org, mode: str, rows: list[dict], state: dict) -> list[dict]:
    """Writes records of a stream that is not named as its object; the states that come back."""
    name = "people"
    columns = {column: {"type": ["null", "string", "integer", "number"]} for column in rows[0]}
    stream = {
        "stream": {
            "name": name,
            "json_schema": {"type": "object", "properties": columns},
            "supported_sync_modes": ["full_refresh", "incremental"],
        },
        "sync_mode": "incremental",
        "cursor_field": ["Id"],
        "destination_sync_mode": mode,
        "destination_object_name": "Contact",
        "primary_key": [["Id"]],
    }
    status = {"stream_descriptor": {"name": name}, "status": "COMPLETE"}
    trace = {"type": "STREAM_STATUS", "emitted_at": 1.0, "stream_status": status}
    messages = [
        *({"type": "RECORD", "record": {"stream": name, "data": row, "emitted_at": 1}} for row in rows),
        {"type": "STATE", "state": state},
        {"type": "TRACE", "trace": trace},
    ]
    made, states = destination(binary, org), KeptStates()
    made._write_airbyte_message_stream(
        stdin=AirbyteMessageIterator.from_str_iterable(map(json.dumps, messages)),
        catalog_provider=OwnCatalog(ConfiguredAirbyteCatalog.model_validate({"streams": [stream]})),
        write_strategy=WriteStrategy.AUTO,
        state_writer=states,
        progress_tracker=ProgressTracker(source=None, cache=None, destination=made),
    )
    return states.states


def write_with_own_catalog(binary: str, org: Org) -> None:
    """Updates and deletes, numbers as PyAirbyte hands them on, and each type of state."""
    org.reset()
    # The numbers of a platform are kept; PyAirbyte gives 1.10 as 1.1.
    first = [{KEY: f"C-{number}", "LastName": 12345678901234567890 + number} for number in range(30)]
    first[0]["LastName"] = 1.10
    descriptor = {"name": "people"}
    blob = {"cursor": 12345678901234567890, "nested": {"Ü": [None, 1.5]}}
    stream = {"stream_descriptor": descriptor, "stream_state": blob}
    sent = {"type": "STREAM", "stream": stream, "id": 7, "partition_id": "p"}
    (state,) = write_contacts(binary, org, "append", first, sent)
    assert sent.items() <= state.items(), state
    assert state["destinationStats"]["recordCount"] == 30, state
    rows = {row[KEY]: row for row in org.rows("Contact")}
    assert {key: row["LastName"] for key, row in rows.items()} == {
        record[KEY]: json.dumps(record["LastName"]) for record in first
    }

    changes = [{"Id": rows[f"C-{number}"]["Id"], "Title": f"T {number}"} for number in range(20)]
    sent = {"type": "GLOBAL", "global": {"shared_state": blob, "stream_states": [stream]}}
    (state,) = write_contacts(binary, org, "update", changes, sent)
    # PyAirbyte hands it on as `global_`, with the nulls of its models; a state comes back as it went.
    (held,) = state["global_"]["stream_states"]
    assert state["global_"]["shared_state"] == blob, state
    assert held["stream_state"] == blob and held["stream_descriptor"]["name"] == "people", state
    titles = {row["Id"]: row.get("Title") for row in org.rows("Contact")}
    assert titles == {row["Id"]: None for row in rows.values()} | {
        change["Id"]: change["Title"] for change in changes
    }

    gone = [{"Id": change["Id"]} for change in changes[:10]]
    (state,) = write_contacts(binary, org, "soft_delete", gone, {"data": blob})
    assert state["data"] == blob, state
    assert org.count("Contact") == 20 and len(org.get("objects/Contact/deleted")) == 10
    assert org.operations() == {"insert", "update", "delete"}


def failing_writes_raise(binary: str, org: Org) -> None:
    org.reset()
    config = {"accounts": 1, "contacts": 1, "revision": 1}

    def attempt(strategy: WriteStrategy, **settings):
        made = destination(binary, org, **settings)
        made.write(source(**config), cache=False, state_cache=False, write_strategy=strategy)

    error = exceptions.AirbyteConnectorWriteError
    assert_fails(error, "overwrite", lambda: attempt(WriteStrategy.REPLACE))
    assert_fails(error, "client_secret", lambda: attempt(WriteStrategy.APPEND, client_secret=WRONG))
    assert all(org.count(stream) == 0 for stream in STREAMS)


def new_cache() -> ab.DuckDBCache:
    return ab.new_local_cache(cache_dir=tempfile.mkdtemp(prefix="cache-"))


def main(binary: str) -> None:
    binary = str(Path(binary).resolve())
    with simulated_org(binary) as org:
        for test in [
            spec,
            check,
            write_appends,
            write_merges,
            write_with_own_catalog,
            failing_writes_raise,
        ]:
            test(binary, org)
            print(f"PyAirbyte {ab.version.get_version()}: {test.__name__} ok", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
