#!/usr/bin/env python3
"""Peak resident memory of `write`, by what it loads.

    cargo build --release --workspace --bins
    TMPDIR=/var/tmp crates/destination/benches/peaks.py target/release streams --limit 134217728

The records come from this script, the org is the simulator beside the binary. TMPDIR should be on a
disk: files in a tmpfs are memory, though not of the process. The peak is what Linux calls VmHWM.
"""

import argparse
import itertools
import json
import pathlib
import re
import subprocess
import tempfile
import threading
import time

NAMES = ["FirstName", "Description", "MailingStreet", "MailingCity", "Title", "Department"]
COLUMNS = ["LastName", *NAMES]
MIB = 1 << 20


def record(stream, data):
    message = {"stream": stream, "emitted_at": 1700000000000, "data": data}
    return json.dumps({"type": "RECORD", "record": message})


def state(number, length):
    stream = {"stream_descriptor": {"name": "s0"}, "stream_state": {"cursor": "x" * length}}
    state = {"type": "STREAM", "stream": stream}
    return json.dumps({"type": "STATE", "state": {"id": number, **state}})


def contact(number, last="Ng"):
    return {"LastName": last, **{name: f"{name} of contact {number}, a text" for name in NAMES}}


def records(streams, each, data):
    return (record(f"s{s}", data(n)) for n in range(each) for s in range(streams))


def states(count):
    for number in range(count):
        yield record("s0", contact(number))
        yield state(number, MIB)


# The streams, and the lines at a scale of 1.
SCENARIOS = {
    "one": (1, lambda scale: records(1, int(10_000_000 * scale), contact)),
    "streams": (200, lambda scale: records(200, int(50_000 * scale), contact)),
    "wide": (40, lambda scale: records(
        40, int(2_000 * scale), lambda n: {"LastName": "Ng", "Description": f"{n}" + "x" * 8_000})),
    "refused": (1, lambda scale: records(1, int(1_000_000 * scale), lambda n: contact(n, None))),
    "narrow": (1, lambda scale: records(
        1, int(4_000_000 * scale), lambda n: {"LastName": None, "FirstName": f"F{n}"})),
    "states": (1, lambda scale: states(int(500 * scale))),
    "record": (1, lambda scale: iter([record("s0", {"Description": "y" * int(46 * MIB * scale)})])),
    "state": (1, lambda scale: iter([record("s0", contact(1)), state(1, int(46 * MIB * scale))])),
}


def configured(name):
    columns = {column: {"type": ["null", "string"]} for column in COLUMNS}
    stream = {"name": name, "json_schema": {"type": "object", "properties": columns}}
    return {
        "stream": {**stream, "supported_sync_modes": ["full_refresh"]}, "sync_mode": "incremental",
        "destination_sync_mode": "append", "destination_object_name": "Contact",
        "generation_id": 1, "minimum_generation_id": 0, "sync_id": 1,
    }


def complete(name):
    status = {"stream_descriptor": {"name": name}, "status": "COMPLETE"}
    trace = {"type": "STREAM_STATUS", "emitted_at": 1.0, "stream_status": status}
    return json.dumps({"type": "TRACE", "trace": trace})


def feed(process, lines):
    with process.stdin as stdin:
        for line in lines:
            stdin.write(line + "\n")


def watch(process, peak):
    status = pathlib.Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        found = re.search(r"VmHWM:\s*(\d+)", status.read_text())
        peak[0] = int(found[1]) if found else peak[0]
        time.sleep(0.01)


def write(binary, folder, port, scenario, scale, limit):
    streams, lines = SCENARIOS[scenario]
    names = [f"s{number}" for number in range(streams)]
    config = {
        "client_id": "sim-client-id", "client_secret": "sim-client-secret",
        "refresh_token": "sim-refresh-token", "is_sandbox": False,
        "login_url": f"http://127.0.0.1:{port}", "rejected_records_url": f"file://{folder}",
        "object_storage_config": {"storage_type": "None"},
    }
    if limit:
        config["memory_limit_bytes"] = limit
    for name, value in {"config": config, "catalog": {"streams": list(map(configured, names))}}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    command = [binary, "write", "--config", folder / "config.json", "--catalog", folder / "catalog.json"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    peak = [0]
    all_lines = itertools.chain(lines(scale), map(complete, names))
    threads = [
        threading.Thread(target=feed, args=(process, all_lines)),
        threading.Thread(target=watch, args=(process, peak)),
    ]
    for thread in threads:
        thread.start()
    report = [line for line in process.stdout if "sync_report" in line]
    return process.wait(), peak[0] // 1024, json.loads(json.loads(report[-1])["log"]["message"])


def main():
    parser = argparse.ArgumentParser(description="Peak resident memory of `write`.")
    parser.add_argument("binaries", type=pathlib.Path, help="folder of the binaries")
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--limit", type=int, help="memory_limit_bytes; the default if left out")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--port", type=int, default=8081)
    args = parser.parse_args()
    org = subprocess.Popen(
        [args.binaries / "salesforce-sim", "--forget", "--port", str(args.port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1)
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            code, peak, report = write(
                args.binaries / "destination-salesforce", pathlib.Path(folder), args.port,
                args.scenario, args.scale, args.limit)
            seconds = time.monotonic() - started
    finally:
        org.kill()
    counts = {key: report[key] for key in ("read", "accepted", "rejected", "jobs", "spilled")}
    print(f"exit {code}, peak {peak} MiB, {seconds:.1f} s, {counts}")


if __name__ == "__main__":
    main()
