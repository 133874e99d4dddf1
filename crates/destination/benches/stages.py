#!/usr/bin/env python3
"""Where the CPU of a load goes, stage by stage, and what the stages bound its wall time to.

    cargo build --release --workspace --bins --examples
    crates/destination/benches/stages.py target/release --rows 3000000 --refused 0.03

One load of `write` is sampled with perf (`linux-perf`). A sample belongs to the stage of its thread, or
to the first that its call stack names, from the inside out. Of a stage that works in one thread at a time (read, decode,
intake), a load can take no less than its CPU time; and no less than the org is busy at its slots. What
other machines would make of the same stages is then computed: each batch takes what it took here, and a
free core takes the oldest batch that waits.
"""

import argparse
import heapq
import json
import pathlib
import re
import subprocess
import tempfile
import time
from collections import Counter

# A stage, and what names it in a call stack.
STAGES = {
    "pack": r"arrow_ipc::writer|lz4_flex::block::compress|RowStore>?::pack|::packed",
    "unpack": r"arrow_ipc::reader|lz4_flex::block::decompress",
    "CSV": r"arrow_csv::writer|arrow_salesforce::chunk::csv",
    "sizes": r"arrow_salesforce::chunk::size",
    "rejects": r"arrow_salesforce::reject::|load::submit::deliver",
    "results": r"arrow_csv::reader|bulk::ingest::results",
    "enter": r"load::submit::enter|arrow_salesforce::ledger::|settle::identity::row_digests",
    "settle": r"load::settle|load::submit::judge",
    "coerce": r"arrow_salesforce::coerce",
    "intake": r"load::intake|arrow_salesforce::chunk::|load::keys",
    "decode": r"arrow_salesforce_decode|destination_salesforce::protocol",
    "HTTP": r"hyper|reqwest|tcp_sendmsg|tcp_recvmsg",
}
PATTERNS = {stage: re.compile(pattern) for stage, pattern in STAGES.items()}

# Threads that are a stage.
THREADS = ["read", "decode"]
# Stages of which each works in one thread at a time, with the parts that it is made of.
SERIAL = {"read": ["read"], "decode": ["decode"], "intake": ["intake", "coerce", "sizes"]}
# Those of which each job has its own, before its upload is done, and after its end.
UPLOAD = ["CSV", "HTTP", "enter"]
ENDED = ["pack", "unpack", "results", "settle", "rejects"]
# Samples a second.
RATE = 499


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path, help="folder of the built binaries")
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--refused", type=float, default=0.03, help="share that the org refuses")
    parser.add_argument("--mode", choices=["upsert", "insert"], default="upsert")
    parser.add_argument("--profile", default="null", help="of the simulated org")
    parser.add_argument("--config", type=json.loads, default={}, help="settings to add, as JSON")
    parser.add_argument("--loader", help="binary to sample, if it is not the one in the folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        load = sampled(options, pathlib.Path(work))
    table(load, options)
    bounds(load)
    simulated(load)


def sampled(options, work):
    """One load under perf: samples by stage, seconds, and what the loader and the org said of it."""
    generate = [options.folder / "examples/generate", "--refused", str(options.refused)]
    generate += ["--rows", str(options.rows)]
    records = work / "records.jsonl"
    with records.open("w") as lines:
        subprocess.run(generate, stdout=lines, check=True)
    simulator = [options.folder / "salesforce-sim", "--port", "0", "--forget"]
    org = subprocess.Popen(
        [*simulator, "--profile", options.profile],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    url = org.stdout.readline().strip()
    try:
        catalog, config = configured(options, generate, url, work)
        loader = options.loader or options.folder / "destination-salesforce"
        perf = ["perf", "record", "-o", work / "perf.data", "-e", "cpu-clock", "-F", str(RATE)]
        perf += ["--call-graph", "dwarf,16384", loader, "write"]
        start = time.monotonic()
        with records.open() as stdin:
            run = subprocess.run(
                [*perf, "--config", config, "--catalog", catalog],
                stdin=stdin, capture_output=True, text=True,
            )
        wall = time.monotonic() - start
        if run.returncode:
            raise SystemExit(f"{run.stdout[-2000:]}\n{run.stderr[-2000:]}")
        org_cpu = cpu_seconds(org.pid)
    finally:
        org.kill()
        org.wait()
    report = next(line for line in reversed(run.stdout.splitlines()) if "sync_report" in line)
    report = json.loads(json.loads(report)["log"]["message"])
    stages = by_stage(work / "perf.data")
    return {"wall": wall, "org_cpu": org_cpu, "report": report, "stages": stages,
            "org": org_seconds(options)}


def configured(options, generate, url, work):
    catalog = json.loads(subprocess.check_output([*generate, "--catalog"]))
    stream = catalog["streams"][0]
    if options.mode == "upsert":
        stream |= {"destination_sync_mode": "append_dedup", "primary_key": [["Ext_Id__c"]],
                   "cursor_field": ["Ext_Id__c"]}
    config = json.loads(subprocess.check_output([*generate, "--config", url]))
    config |= {"rejected_records_url": f"file://{work}/rejects"} | options.config
    (work / "rejects").mkdir()
    for name, value in {"catalog": catalog, "config": config}.items():
        (work / f"{name}.json").write_text(json.dumps(value))
    return work / "catalog.json", work / "config.json"


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def org_seconds(options):
    """How long the org is busy with these rows, if all of its slots always are."""
    profiles = pathlib.Path(__file__).parents[2] / "sim/src/profiles"
    profile = json.loads((profiles / f"{options.profile}.json").read_text())
    chunk = profile.get("chunk_seconds", 0) + 200 * profile.get("row_seconds", 0)
    slots, speed = profile.get("slots") or 1, profile.get("speed") or 1
    return options.rows / 200 * chunk / slots / speed


def by_stage(data):
    """Samples by stage, in CPU seconds."""
    script = subprocess.check_output(
        ["perf", "script", "-i", data, "--no-inline", "-F", "comm,tid,time,ip,sym"],
        text=True, stderr=subprocess.DEVNULL,
    )
    stages = Counter()
    for sample in script.split("\n\n"):
        head, *frames = sample.strip().split("\n")
        if frames:
            stages[stage_of(head.split()[0], frames)] += 1 / RATE
    return stages


def stage_of(thread, frames):
    if thread in THREADS:
        return thread
    for frame in frames:
        for stage, pattern in PATTERNS.items():
            if pattern.search(frame):
                return stage
    return "other"


def table(load, options):
    stages, rows = load["stages"], options.rows
    print(f"{rows} rows, {options.refused:.0%} refused, {options.mode}, org {options.profile}:"
          f" {load['report']['jobs']} jobs, {load['report']['rejected']} rejected")
    print("\n| stage | CPU s a million | share |\n|---|---|---|")
    total = stages.total()
    for stage, seconds in stages.most_common():
        print(f"| {stage} | {seconds / rows * 1e6:.2f} | {seconds / total:.1%} |")
    print(f"| all | {total / rows * 1e6:.2f} | |")


def serial_stages(load):
    stages = load["stages"]
    return {name: sum(stages[part] for part in parts) for name, parts in SERIAL.items()}


def bounds(load):
    """What the wall time cannot be below, and how much above it is."""
    both = load["stages"].total() + load["org_cpu"]
    found = {f"{name}, on a core of its own": cpu for name, cpu in serial_stages(load).items()}
    found["CSV and upload, on a core of their own"] = sum(load["stages"][part] for part in UPLOAD)
    found["the org, at its slots"] = load["org"]
    found["CPU of loader and org, on two cores"] = both / 2
    print("\n| bound | seconds |\n|---|---|")
    for name, seconds in found.items():
        print(f"| {name} | {seconds:.2f} |")
    largest = max(found.values())
    print(f"| wall | {load['wall']:.2f}, {load['wall'] / largest:.2f} times the largest |")


def simulated(load):
    """What the stages of this load would take on other numbers of cores, with the org on others."""
    print("\n| cores | seconds | faster than one | busy |\n|---|---|---|---|")
    one = makespan(load, 1)
    for cores in [1, 2, 4, 8]:
        seconds = makespan(load, cores)
        busy = load["stages"].total() / seconds / cores
        print(f"| {cores} | {seconds:.2f} | {one / seconds:.2f} | {busy:.0%} |")


def makespan(load, cores):
    """Seconds until the last of all tasks ends. The batches of a job are uploaded once it is closed,
    in order; what follows its end is a task a job."""
    report, stages = load["report"], load["stages"]
    jobs, batches = report["jobs"], 8 * report["jobs"]
    tasks, after = [], {}

    def add(key, seconds, needs):
        after[key] = len(tasks)
        tasks.append((seconds, [after[need] for need in needs if need in after]))

    for batch in range(batches):
        job, last = batch // 8, batch % 8 == 7
        for number, (name, seconds) in enumerate(serial_stages(load).items()):
            needs = [(name, batch - 1)] + ([(list(SERIAL)[number - 1], batch)] if number else [])
            add((name, batch), seconds / batches, needs)
        if last:
            for piece in range(8):
                needs = [("intake", batch)] if piece == 0 else [("upload", job, piece - 1)]
                add(("upload", job, piece), sum(stages[part] for part in UPLOAD) / batches, needs)
            add(("ended", job), sum(stages[part] for part in ENDED) / jobs, [("upload", job, 7)])
    return scheduled(tasks, cores)


def scheduled(tasks, cores):
    """Seconds until all tasks are done, if a free core takes the first of those that can begin."""
    waits = [len(needs) for _, needs in tasks]
    followers = [[] for _ in tasks]
    for task, (_, needs) in enumerate(tasks):
        for need in needs:
            followers[need].append(task)
    ready = [task for task, count in enumerate(waits) if count == 0]
    heapq.heapify(ready)
    running, now = [], 0.0
    while ready or running:
        while ready and len(running) < cores:
            task = heapq.heappop(ready)
            heapq.heappush(running, (now + tasks[task][0], task))
        now, done = heapq.heappop(running)
        for task in followers[done]:
            waits[task] -= 1
            if waits[task] == 0:
                heapq.heappush(ready, task)
    return now


if __name__ == "__main__":
    main()
