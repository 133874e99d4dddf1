"""kinetic-core loads the rows of a CSV file, with its defaults but for the time a job may take."""

import csv
import os
from pathlib import Path

from kinetic_core import SalesforceClient, SalesforceSession

ENV = {name.removeprefix("BENCH_"): value for name, value in os.environ.items()}

session = SalesforceSession(
    instance_url=ENV["INSTANCE_URL"],
    access_token=ENV["ACCESS_TOKEN"],
    api_version=f"v{ENV['API_VERSION']}",
)
bulk = SalesforceClient(session).bulk
with open(ENV["CSV"], newline="", encoding="utf-8") as file:
    records = list(csv.DictReader(file))
if ENV["OPERATION"] == "upsert":
    result = bulk.upsert(ENV["OBJECT"], records, ENV["EXTERNAL_ID"], timeout_minutes=1440)
else:
    result = bulk.insert(ENV["OBJECT"], records, timeout_minutes=1440)
if result.failed_records:
    with open(Path(ENV["REJECTS"], "failed.csv"), "w", newline="", encoding="utf-8") as file:
        # Each failed record has the fields that it had a value of.
        names = {name: None for record in result.failed_records for name in record}
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(result.failed_records)
