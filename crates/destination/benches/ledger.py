#!/usr/bin/env python3
"""What the ledger costs an append, and what a repetition takes.

    cargo build --release --workspace --bins
    crates/destination/benches/ledger.py target/release cost --rows 3000000 --rounds 3
    TMPDIR=/var/tmp crates/destination/benches/ledger.py target/release repeat --rows 10000000

`cost` appends the same records with the ledger and without, in turns, into a bucket that this script
keeps in memory and counts the calls of; each run has a new simulated org. `repeat` kills an append of which no
state was printed once all records are in the org, and repeats it within 128 MiB: the peak is what Linux
calls VmHWM.
"""

import argparse
import collections
import http.server
import itertools
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import xml.sax.saxutils

STATES = 1_000_000
COLUMNS = ["LastName", "FirstName", "Title", "Department", "MailingCity", "Description"]


class Bucket(http.server.BaseHTTPRequestHandler):
    """The part of S3 that the destination needs."""

    protocol_version = "HTTP/1.1"
    objects = {}
    calls = collections.Counter()
    moved = collections.Counter()

    def log_message(self, *_):
        pass

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_call(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.headers.get("x-amz-decoded-content-length"):
            body = body.split(b"\r\n", 1)[1][: int(self.headers["x-amz-decoded-content-length"])]
        path, _, query = self.path.partition("?")
        key, query = urllib.parse.unquote(path).lstrip("/").partition("/")[2], urllib.parse.parse_qs(query, True)
        ledger = "_ledger" in key or "_ledger" in query.get("prefix", [""])[0]
        kind = "list" if "list-type" in query else self.command.lower()
        self.calls[("ledger " if ledger else "other ") + kind] += 1
        self.moved["ledger" if ledger else "other"] += len(body)
        if kind == "list":
            return self.reply(200, self.listed(query))
        if kind == "put":
            if self.headers.get("If-None-Match") and key in self.objects:
                return self.reply(412, error("PreconditionFailed"))
            self.objects[key] = body
            return self.reply(200, ETag='"1"')
        if kind == "delete":
            self.objects.pop(key, None)
            return self.reply(204)
        if kind == "post" and "delete" in query:
            for name in re.findall(rb"<Key>(.*?)</Key>", body):
                self.objects.pop(name.decode(), None)
            return self.reply(200, b"<DeleteResult/>")
        if key not in self.objects:
            return self.reply(404, error("NoSuchKey"))
        return self.reply(200, self.objects[key], ETag='"1"', Last_Modified="Sun, 01 Mar 2026 00:00:00 GMT")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_call

    def listed(self, query):
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        names = sorted(name for name in self.objects if name.startswith(prefix))
        if delimiter:
            names = [name for name in names if delimiter not in name[len(prefix):]]
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
        contents = "".join(
            f"<Contents><Key>{xml.sax.saxutils.escape(name)}</Key><LastModified>{now}</LastModified>"
            f'<ETag>"1"</ETag><Size>{len(self.objects[name])}</Size></Contents>' for name in names)
        head = f"<KeyCount>{len(names)}</KeyCount><IsTruncated>false</IsTruncated>"
        return f"<ListBucketResult>{head}{contents}</ListBucketResult>".encode()


def error(code):
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


def message(kind, **content):
    return json.dumps({"type": kind, **content}) + "\n"


def record(number, narrow):
    data = {"LastName": f"Ng {number}"}
    if not narrow:
        data |= {name: f"{name} of contact {number}, a text" for name in COLUMNS[1:]}
    return message("RECORD", record={"stream": "people", "emitted_at": 1700000000000, "data": data})


def state(number):
    stream = {"stream_descriptor": {"name": "people"}, "stream_state": {"cursor": number}}
    return message("STATE", state={"type": "STREAM", "stream": stream})


def complete():
    status = {"stream_descriptor": {"name": "people"}, "status": "COMPLETE"}
    return message("TRACE", trace={"type": "STREAM_STATUS", "emitted_at": 1.0, "stream_status": status})


def records(rows, narrow, states):
    for number in range(rows):
        yield record(number, narrow)
        if states and (number + 1) % STATES == 0:
            yield state(number)


class Org:
    """A simulated org of its own."""

    def __init__(self, binaries, port, *arguments):
        self.url = f"http://127.0.0.1:{port}"
        command = [binaries / "salesforce-sim", "--port", str(port), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)

    def state(self):
        with urllib.request.urlopen(f"{self.url}/sim/state") as answer:
            return json.load(answer)

    def loaded(self):
        return sum(job["processed"] for job in self.state()["jobs"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def start(binaries, folder, org, bucket, narrow, **settings):
    columns = COLUMNS[:1] if narrow else COLUMNS
    properties = {column: {"type": ["null", "string"]} for column in columns}
    stream = {
        "stream": {
            "name": "people", "json_schema": {"type": "object", "properties": properties},
            "supported_sync_modes": ["full_refresh"]},
        "sync_mode": "incremental", "destination_sync_mode": "append",
        "destination_object_name": "Contact", "generation_id": 1, "minimum_generation_id": 0, "sync_id": 1,
    }
    config = {
        "client_id": "sim-client-id", "client_secret": "sim-client-secret",
        "refresh_token": "sim-refresh-token", "is_sandbox": False, "login_url": org.url,
        "object_storage_config": {
            "storage_type": "S3", "access_key_id": "key", "secret_access_key": "secret",
            "s3_bucket_name": "bucket", "s3_bucket_region": "us-east-1",
            "s3_endpoint": f"http://127.0.0.1:{bucket}", "bucket_path": "rejected/"},
        **settings,
    }
    for name, value in {"config": config, "catalog": {"streams": [stream]}}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    command = [
        binaries / "destination-salesforce", "write",
        "--config", folder / "config.json", "--catalog", folder / "catalog.json"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def reading(process, reports):
    """Keeps the report, and what is said of the ledger."""
    def read():
        for line in process.stdout:
            if b"sync_report" in line or b"load_report" in line:
                reports.append(json.loads(json.loads(line)["log"]["message"]))
            elif b'"ERROR"' in line or b'"WARN"' in line:
                print(line.decode().rstrip()[:600])
    thread = threading.Thread(target=read)
    thread.start()
    return thread


def ended(process, thread):
    """Waits for the end: CPU seconds, and the peak in MiB. What `wait4` gives as the peak has that of this
    script in it."""
    status, peak = pathlib.Path(f"/proc/{process.pid}/status"), 0
    while thread.is_alive():
        found = re.search(r"VmHWM:\s*(\d+)", status.read_text())
        peak = int(found[1]) if found else peak
        thread.join(0.1)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, peak / 1024


def cost(args, folder, bucket):
    lines = folder / "lines"
    with lines.open("w") as file:
        file.writelines(itertools.chain(records(args.rows, False, True), [complete()]))
    seen = {"on": [], "off": []}
    for number in range(args.rounds):
        for mode in ["on", "off"] if number % 2 == 0 else ["off", "on"]:
            Bucket.objects.clear(), Bucket.calls.clear(), Bucket.moved.clear()
            with Org(args.binaries, args.port, "--forget") as org:
                process = start(args.binaries, folder, org, bucket, False, ledger=mode)
                reports = []
                thread = reading(process, reports)
                started = time.monotonic()
                feed = threading.Thread(target=pour, args=(lines, process))
                feed.start()
                cpu, peak = ended(process, thread)
                seconds = time.monotonic() - started
            ledger = sum(count for call, count in Bucket.calls.items() if call.startswith("ledger"))
            figures = {
                "code": process.returncode, "cpu": round(cpu, 2), "seconds": round(seconds, 1),
                "peak_mib": round(peak), "jobs": reports[-1]["jobs"], "ledger_calls": ledger,
                "ledger_bytes": Bucket.moved["ledger"]}
            seen[mode].append(cpu)
            print(mode, figures, flush=True)
    on, off = (statistics.median(seen[mode]) for mode in ["on", "off"])
    print(f"median CPU: {on:.1f} s with the ledger, {off:.1f} s without: {100 * (on / off - 1):+.1f} %")


def pour(lines, process):
    with lines.open("rb") as file, process.stdin as stdin:
        while block := file.read(1 << 20):
            stdin.write(block)


def repeat(args, folder, bucket):
    with Org(args.binaries, args.port) as org:
        settings = {"memory_limit_bytes": args.limit, "flush_interval_seconds": 5}
        process = start(args.binaries, folder, org, bucket, True, **settings)
        thread = reading(process, [])
        feed(process, records(args.rows, True, False))
        while org.loaded() < args.rows:
            time.sleep(1)
        process.send_signal(signal.SIGKILL)
        ended(process, thread)
        size = sum(len(content) for key, content in Bucket.objects.items() if key.endswith(".entry"))
        print(f"killed: {org.loaded()} rows in the org, {size} bytes of entries", flush=True)
        jobs = len(org.state()["jobs"])
        # The simulated org takes minutes to find 200 of 10 million records.
        settings = {"memory_limit_bytes": args.limit, "wait_permille": 10, "ledger": "trust"}
        process = start(args.binaries, folder, org, bucket, True, **settings)
        reports = []
        thread = reading(process, reports)
        started = time.monotonic()
        lines = itertools.chain(records(args.rows, True, True), [complete()])
        feeding = threading.Thread(target=feed, args=(process, lines, True))
        feeding.start()
        cpu, peak = ended(process, thread)
        seconds = time.monotonic() - started
        print({
            "code": process.returncode, "cpu": round(cpu, 1), "seconds": round(seconds, 1),
            "peak_mib": round(peak), "came_again": [r.get("came_again") for r in reports][:1],
            "accepted": reports[-1]["accepted"], "new_jobs": len(org.state()["jobs"]) - jobs,
            "left": sorted(key for key in Bucket.objects if "_ledger" in key)})


def feed(process, lines, close=False):
    stdin = process.stdin
    for batch in iter(lambda: "".join(itertools.islice(lines, 10_000)), ""):
        stdin.write(batch.encode())
    stdin.flush()
    if close:
        stdin.close()


def main():
    parser = argparse.ArgumentParser(description="What the ledger costs.")
    parser.add_argument("binaries", type=pathlib.Path, help="folder of the binaries")
    parser.add_argument("what", choices=["cost", "repeat"])
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=128 << 20, help="memory_limit_bytes of `repeat`")
    parser.add_argument("--port", type=int, default=8095)
    args = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        {"cost": cost, "repeat": repeat}[args.what](args, pathlib.Path(folder), server.server_port)


if __name__ == "__main__":
    main()
