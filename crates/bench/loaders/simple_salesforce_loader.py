"""simple-salesforce loads a CSV file, with its defaults."""

import os
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce

ENV = {name.removeprefix("BENCH_"): value for name, value in os.environ.items()}


class Loopback(HTTPAdapter):
    """simple-salesforce builds https URLs of Salesforce's hosts: the simulated org answers for all."""

    def send(self, request, **options):
        request.url = ENV["INSTANCE_URL"] + request.path_url
        return super().send(request, **options)


session = requests.Session()
session.trust_env = False
session.mount("https://", Loopback())
client = Salesforce(
    session=session,
    version=ENV["API_VERSION"],
    consumer_key=ENV["CLIENT_ID"],
    consumer_secret=ENV["CLIENT_SECRET"],
    domain="bench.my",
)
bulk = getattr(client.bulk2, ENV["OBJECT"])
if ENV["OPERATION"] == "upsert":
    jobs = bulk.upsert(csv_file=ENV["CSV"], external_id_field=ENV["EXTERNAL_ID"])
else:
    jobs = bulk.insert(csv_file=ENV["CSV"])
for job in jobs:
    if job["numberRecordsFailed"]:
        failed = Path(ENV["REJECTS"], f"failed-{job['job_id']}.csv")
        bulk.get_failed_records(job["job_id"], file=str(failed))
