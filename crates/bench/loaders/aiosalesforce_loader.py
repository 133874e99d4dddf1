"""aiosalesforce loads the rows of a CSV file, with its defaults."""

import asyncio
import csv
import os
from pathlib import Path

from aiosalesforce import Salesforce
from aiosalesforce.auth import ClientCredentialsFlow
from httpx import URL, AsyncClient, AsyncHTTPTransport

ENV = {name.removeprefix("BENCH_"): value for name, value in os.environ.items()}


class Loopback(AsyncHTTPTransport):
    """aiosalesforce takes URLs of Salesforce's hosts alone: the simulated org answers for them."""

    async def handle_async_request(self, request):
        request.url = URL(ENV["INSTANCE_URL"]).copy_with(raw_path=request.url.raw_path)
        return await super().handle_async_request(request)


async def main() -> None:
    async with AsyncClient(transport=Loopback(), timeout=600) as http:
        client = Salesforce(
            http,
            base_url="https://bench.my.salesforce.com",
            auth=ClientCredentialsFlow(ENV["CLIENT_ID"], ENV["CLIENT_SECRET"]),
            version=ENV["API_VERSION"],
        )
        with open(ENV["CSV"], newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if ENV["OPERATION"] == "upsert":
                result = await client.bulk_v2.upsert(ENV["OBJECT"], rows, ENV["EXTERNAL_ID"])
            else:
                result = await client.bulk_v2.insert(ENV["OBJECT"], rows)
    if result.failed_results:
        with open(Path(ENV["REJECTS"], "failed.csv"), "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, result.failed_results[0].keys())
            writer.writeheader()
            writer.writerows(result.failed_results)
    # The library returns what a job left unprocessed: whoever calls it must look.
    if result.unprocessed_records:
        raise SystemExit(f"{len(result.unprocessed_records)} records are unprocessed")


asyncio.run(main())
