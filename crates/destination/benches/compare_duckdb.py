#!/usr/bin/env python3
"""Airbyte lines -> CSV: the example `convert` beside DuckDB doing the same work.

    python3 -m venv /tmp/duckdb && /tmp/duckdb/bin/pip install duckdb
    cargo build --profile dist --example convert --example generate
    target/dist/examples/generate --rows 1500000 --states-every 0 --folder target/records
    /tmp/duckdb/bin/python crates/destination/benches/compare_duckdb.py target/dist/examples/convert target/records

DuckDB reads the same lines with read_json into a typed struct, casts each field to the type that
the describe says with TRY_CAST, and writes one CSV with COPY. It checks no sizes, makes no chunks
and keeps rows with values that cannot be cast: the records must be good ones. Both write to the
same disk. Runs alternate; each is a process of its own; the figures are those of the whole process.
Before anything is measured, both outputs are read and compared value by value.
"""

import argparse
import csv
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

# Types of Salesforce fields that DuckDB has a type for; everything else stays text.
DUCKDB_TYPES = {
    "boolean": "BOOLEAN",
    "currency": "DECIMAL(38, 9)",
    "date": "DATE",
    "datetime": "TIMESTAMPTZ",
    "double": "DECIMAL(38, 9)",
    "int": "INTEGER",
    "percent": "DECIMAL(38, 9)",
    "time": "TIME",
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("convert", help="the built example")
    parser.add_argument("records", type=pathlib.Path, help="folder that `generate` wrote")
    parser.add_argument("--stream", default="contacts", help="contacts, narrow or wide")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("target/compare"))
    parser.add_argument("--duckdb", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.duckdb:
        return run_duckdb(options.duckdb, options.threads[0])

    tools = {"convert": convert_command, "DuckDB": duckdb_command}
    for tool, command in tools.items():
        measure(command(options, 1, folder(options, tool)))
    rows = compare(folder(options, "convert"), folder(options, "DuckDB"))
    print(f"{rows} rows of {options.stream}, the same values from both")

    runs = {}
    for run in range(options.runs):
        for threads in options.threads:
            order = list(tools.items())
            for tool, command in order if run % 2 == 0 else reversed(order):
                taken = measure(command(options, threads, folder(options, tool)))
                runs.setdefault((threads, tool), []).append(taken)
    report(options, rows, runs)
    shutil.rmtree(options.out)


def folder(options, tool):
    return options.out / tool


def files(options):
    return [
        str(options.records / f"{options.stream}.{kind}")
        for kind in ("jsonl", "catalog.json", "describe.json")
    ]


def convert_command(options, threads, out):
    return [options.convert, *files(options), str(out), "--threads", str(threads)], out


def duckdb_command(options, threads, out):
    sql = duckdb_sql(*files(options), out / "out.csv")
    arguments = [options.convert, str(options.records), "--threads", str(threads)]
    return [sys.executable, __file__, *arguments, "--duckdb", sql], out


def duckdb_sql(lines, catalog, describe, out):
    stream = json.loads(pathlib.Path(catalog).read_text())["streams"][0]["stream"]
    fields = json.loads(pathlib.Path(describe).read_text())["fields"]
    types = {field["name"]: DUCKDB_TYPES.get(field["type"], "VARCHAR") for field in fields}
    columns = list(stream["json_schema"]["properties"])
    struct = ", ".join(f'"{column}" VARCHAR' for column in columns)
    record = f"STRUCT(stream VARCHAR, emitted_at BIGINT, data STRUCT({struct}))"
    cells = ", ".join(
        f'TRY_CAST(record.data."{column}" AS {types[column]}) AS "{column}"' for column in columns
    )
    return (
        f"COPY (SELECT {cells} FROM read_json('{lines}', format = 'newline_delimited', "
        f"columns = {{type: 'VARCHAR', record: '{record}'}}) WHERE type = 'RECORD') "
        f"TO '{out}' (FORMAT csv, HEADER)"
    )


def run_duckdb(sql, threads):
    import duckdb

    duckdb.execute(f"SET threads = {threads}").execute("SET TimeZone = 'UTC'").execute(sql)


def measure(command):
    """Wall and CPU seconds of one process that writes into an empty folder."""
    arguments, out = command
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    os.sync()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu


def rows_of(path):
    for file in sorted(path.glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as lines:
            yield from csv.DictReader(lines)


def compare(ours, theirs):
    count = 0
    for mine, other in zip(rows_of(ours), rows_of(theirs), strict=True):
        for column, value in mine.items():
            if not same(value, other[column]):
                sys.exit(f"row {count}, {column}: {value!r} and {other[column]!r}")
        count += 1
    return count


def same(mine, other):
    """Whether two cells say the same; DuckDB writes decimals with all digits of their scale."""
    if mine == other:
        return True
    try:
        return float(mine) == float(other)
    except ValueError:
        return False


def report(options, rows, runs):
    print(f"medians of {options.runs} runs, wall (CPU) seconds, thousand rows a second")
    print("| threads | convert | DuckDB | DuckDB / convert, wall | CPU |")
    print("|---|---|---|---|---|")
    for threads in options.threads:
        cells, medians = [], []
        for tool in ("convert", "DuckDB"):
            wall, cpu = (statistics.median(taken) for taken in zip(*runs[threads, tool]))
            medians.append((wall, cpu))
            cells.append(f"{wall:.2f} ({cpu:.2f}) s, {rows / wall / 1000:.0f} k/s")
        (wall, cpu), (other_wall, other_cpu) = medians
        ratios = f"{other_wall / wall:.2f} | {other_cpu / cpu:.2f}"
        print(f"| {threads} | {cells[0]} | {cells[1]} | {ratios} |")


if __name__ == "__main__":
    main()
