"""What it costs to take all contacts out of a simulated org: this project's `query` beside
simple-salesforce and jsforce, each by one query job of Bulk API 2.0 into CSV.

Usage: downloads.py DESTINATION ARROW_SALESFORCE [--rows N] [--modules DIRECTORY]

DESTINATION has `simulate`. The directory of modules has jsforce (`npm ci` beside package.json); without it
jsforce is left out. CPU and memory are those of the client's process alone, calls those that the org
counts. The last column says whether all records arrived, each once and as it is in the org. Measure release builds on a machine that does nothing else.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from simulator import CREDENTIALS, Org

FIELDS = ["Ext_Id__c", "LastName", "FirstName", "Email", "Birthdate", "HasOptedOutOfEmail", "Description"]
SOQL = f"SELECT {', '.join(FIELDS)} FROM Contact"

SIMPLE_SALESFORCE = """
import sys
from urllib.parse import urlsplit
from simple_salesforce import Salesforce
url, token, directory, soql = sys.argv[1:]
sf = Salesforce(instance_url=url, session_id=token, version="62.0")
sf.bulk2_url = f"{url}/services/data/v62.0/jobs/"
sf.bulk2.Contact.download(soql, path=directory)
"""

JSFORCE = """
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import jsforce from "jsforce";
const [url, token, directory, soql] = process.argv.slice(2);
const conn = new jsforce.Connection({ instanceUrl: url, accessToken: token, version: "62.0" });
const records = await conn.bulk2.query(soql, { pollInterval: 1000, pollTimeout: 600000 });
await pipeline(records.stream("csv"), createWriteStream(`${directory}/contacts.csv`));
"""


def write_contacts(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        made = csv.writer(file, lineterminator="\n")
        made.writerow(FIELDS)
        for row in range(rows):
            email = f"c{row}@example.com" if row % 3 else ""
            text = f'quoted "{row}", and\nsecond line 漢字' if row % 5 == 0 else f"plain text {row} " * 4
            day = f"19{row % 60 + 40}-0{row % 9 + 1}-{row % 28 + 1:02}"
            made.writerow([f"C-{row:08}", f"Núñez {row}", f"Ana {row % 977}", email, day, row % 2 == 0, text.strip()])


def session(url: str) -> str:
    import urllib.parse
    import urllib.request

    form = {"grant_type": "refresh_token"} | CREDENTIALS
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{url}/services/oauth2/token", data) as answer:
        return json.load(answer)["access_token"]


def charged(org: Org) -> int:
    return sum(org.get("state")["charged"].values())


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds, seconds of CPU and MiB at most of a process."""
    begin = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def check(directory: Path, rows: int) -> None:
    """All records are there, each once, with their texts."""
    csv.field_size_limit(1 << 30)
    seen = bytearray(rows)
    for path in directory.iterdir():
        with path.open(newline="") as file:
            for record in csv.DictReader(file):
                number = int(record["Ext_Id__c"][2:])
                assert not seen[number], record
                assert record["LastName"] == f"Núñez {number}", record
                assert ("second line 漢字" in record["Description"]) == (number % 5 == 0), record
                seen[number] = 1
    assert sum(seen) == rows, f"{sum(seen)} of {rows} records in {directory}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("destination", type=Path)
    parser.add_argument("arrow_salesforce", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--modules", type=Path)
    wanted = parser.parse_args()
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    with TemporaryDirectory() as directory:
        here = Path(directory)
        write_contacts(here / "contacts.csv", wanted.rows)
        command = [wanted.destination.resolve(), "simulate", "--port", "0"]
        command += ["--profile", "null", "--data", f"Contact={here / 'contacts.csv'}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulator:
            try:
                org = Org(simulator.stdout.readline().strip())
                config = CREDENTIALS | {"login_url": org.url, "is_sandbox": True}
                (here / "org.json").write_text(json.dumps(config))
                ours = [str(wanted.arrow_salesforce.resolve()), "query", SOQL, "--config", str(here / "org.json")]
                told = [org.url, session(org.url)]
                clients = {
                    "arrow-salesforce query (CSV)": lambda out: [*ours, "-o", f"{out}/contacts.csv"],
                    f"simple-salesforce {version('simple-salesforce')}": lambda out: [
                        sys.executable, "-c", SIMPLE_SALESFORCE, *told, str(out), SOQL,
                    ],
                }
                if wanted.modules:
                    script = wanted.modules / "download.mjs"
                    script.write_text(JSFORCE)
                    package = json.loads((wanted.modules / "node_modules/jsforce/package.json").read_text())
                    clients[f"jsforce {package['version']}"] = lambda out: [
                        "node", str(script), *told, str(out), SOQL,
                    ]
                print(f"{wanted.rows} contacts\n")
                print("| client | seconds | CPU seconds | MiB | calls | all records |\n|---|---|---|---|---|---|")
                for name, command in clients.items():
                    out = here / "out"
                    out.mkdir()
                    before = charged(org)
                    seconds, cpu, memory = measured(command(out), environment)
                    calls = charged(org) - before
                    try:
                        check(out, wanted.rows)
                        kept = "yes"
                    except AssertionError:
                        if name.startswith("arrow"):
                            raise
                        kept = "no"
                    shutil.rmtree(out)
                    numbers = f"{seconds:.1f} | {cpu:.1f} | {memory:.0f} | {calls}"
                    print(f"| {name} | {numbers} | {kept} |", flush=True)
            finally:
                simulator.terminate()


if __name__ == "__main__":
    main()
