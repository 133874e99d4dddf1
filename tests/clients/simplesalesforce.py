"""simple-salesforce loads a simulated org: what it expects of Salesforce, the simulator does.

Usage: simplesalesforce.py BINARY, the binary having `simulate`.
"""

import csv
import io
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce, format_soql
from simple_salesforce.bulk2 import ColumnDelimiter, LineEnding
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceOperationError,
)

import simulator
from simulator import Org, simulated_org

KEY = "Ext_Id__c"
TEXTS = [
    "plain",
    "comma, and 'quotes' \"double\"",
    "two\nlines\n",
    "emoji 🚀 and Œuvre, 漢字",
    '"',
    "=1+1; a|b\tc",
]
GOOD = 300
# Records that Salesforce refuses, and the code that it says why by.
BAD = {
    "B-1": ({"LastName": ""}, "REQUIRED_FIELD_MISSING"),
    "B-2": ({"LastName": "x" * 81}, "STRING_TOO_LONG"),
    "B-3": ({"LastName": "Ng", "Email": "nowhere"}, "INVALID_EMAIL_ADDRESS"),
    "B-4": ({"LastName": "Ng", "Birthdate": "6/15/19"}, "INVALID_FIELD"),
    "B-5": ({"LastName": "#N/A"}, "REQUIRED_FIELD_MISSING"),
}


class Loopback(HTTPAdapter):
    """simple-salesforce builds https URLs of Salesforce's hosts: the simulator answers for all."""

    def __init__(self, org: Org):
        super().__init__()
        self.org = org

    def send(self, request, **options):
        request.url = self.org.url + request.path_url
        return super().send(request, **options)


def session(org: Org) -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    made.mount("https://", Loopback(org))
    return made


def client(org: Org, **login) -> Salesforce:
    """A client that logged in by client credentials, or by the credentials given."""
    login = login or {
        "consumer_key": simulator.CREDENTIALS["client_id"],
        "consumer_secret": simulator.CREDENTIALS["client_secret"],
        "domain": "sim.my",
    }
    return Salesforce(session=session(org), version="62.0", **login)


def read(text: str, delimiter: str = ",") -> list[dict]:
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def by_key(records: list[dict]) -> dict[str, dict]:
    found = {record[KEY]: record for record in records}
    assert len(found) == len(records), "a record came twice"
    return found


def contact(number: int) -> dict:
    return {
        KEY: f"C-{number}",
        "LastName": f"Ng {number}",
        "Description": f"{TEXTS[number % len(TEXTS)]} {number}",
        "Department": "#N/A" if number % 2 else "Sales",
        "DoNotCall": "true" if number % 3 else "false",
    }


def held(record: dict) -> dict:
    """What the org holds of a record that was sent."""
    return {key: None if value == "#N/A" else value for key, value in record.items()}


def assert_holds(org: Org, expected: list[dict]) -> None:
    """The org holds these contacts, field by field, and no others."""
    rows = by_key(org.rows("Contact"))
    assert rows.keys() == by_key(expected).keys()
    for record in expected:
        row = rows[record[KEY]]
        found = {field: row.get(field) for field in record}
        assert found == held(record), (found, record)


def counts(jobs: list[dict]) -> tuple[int, int]:
    """Records that the jobs processed, the failed among them, and records that failed."""
    total = sum(job["numberRecordsTotal"] for job in jobs)
    processed = sum(job["numberRecordsProcessed"] for job in jobs)
    assert total == processed, (total, processed)
    return processed, sum(job["numberRecordsFailed"] for job in jobs)


def logins(org: Org) -> None:
    by_client = client(org)
    direct = client(org, session_id=by_client.session_id, instance_url=org.url)
    assert direct.is_sandbox() is False
    assert by_client.limits()["DailyApiRequests"]["Max"] == by_client.api_usage["api-usage"].total
    # A client that knows how logs in once more; one with a session alone cannot.
    org.post("faults", [{"do": {"expire_tokens": {}}}])
    assert by_client.describe()["maxBatchSize"] == 200
    try:
        direct.describe()
    except SalesforceExpiredSession as error:
        assert error.content[0]["errorCode"] == "INVALID_SESSION_ID", error.content
    else:
        raise AssertionError("the session has ended")
    for wrong, code in [("consumer_key", "invalid_client_id"), ("consumer_secret", "invalid_client")]:
        login = {"consumer_key": "sim-client-id", "consumer_secret": "sim-client-secret", wrong: "x"}
        try:
            client(org, domain="sim.my", **login)
        except SalesforceAuthenticationFailed as error:
            assert error.code == code, error
        else:
            raise AssertionError(f"{wrong} is wrong")


def jwt_login(org: Org) -> None:
    private_key, public_key = simulator.key_pair()
    org.post("options", {"jwt_public_key": public_key})
    login = {"username": "loader@sim.example", "consumer_key": "sim-client-id"}
    client(org, privatekey=private_key, instance_url="sim.my", **login).describe()


def describes(org: Org) -> None:
    sf = client(org)
    known = {entry["name"]: entry for entry in sf.describe()["sobjects"]}
    assert known["Contact"]["createable"] and known["Contact"]["keyPrefix"] == "003"
    fields = {field["name"]: field for field in sf.Contact.describe()["fields"]}
    assert fields[KEY]["externalId"] and fields["LastName"]["length"] == 80
    assert fields.keys() >= contact(0).keys()


def inserts(org: Org) -> None:
    """Several jobs at once; every refused record has its code."""
    sf = client(org)
    good = [contact(number) for number in range(GOOD)]
    bad = [{KEY: key} | fields for key, (fields, _) in BAD.items()]
    jobs = sf.bulk2.Contact.insert(records=good + bad, batch_size=100, concurrency=3, wait=0)
    assert len(jobs) == 4 and counts(jobs) == (GOOD + len(BAD), len(BAD)), jobs
    assert_holds(org, good)
    accepted, failed = [], []
    for job in jobs:
        accepted += read(sf.bulk2.Contact.get_successful_records(job["job_id"]))
        failed += read(sf.bulk2.Contact.get_failed_records(job["job_id"]))
        assert read(sf.bulk2.Contact.get_unprocessed_records(job["job_id"])) == []
    ids = {row[KEY]: row["Id"] for row in org.rows("Contact")}
    for record in by_key(accepted).values():
        sent = contact(int(record[KEY].removeprefix("C-")))
        assert record["sf__Created"] == "true" and record["sf__Id"] == ids[record[KEY]], record
        assert {field: record[field] for field in sent} == sent, (record, sent)
    assert len(accepted) == GOOD
    failed = by_key(failed)
    assert failed.keys() == BAD.keys()
    for key, (fields, code) in BAD.items():
        assert failed[key]["sf__Error"].startswith(f"{code}:"), failed[key]
        assert failed[key]["sf__Id"] == "" and failed[key]["LastName"] == fields["LastName"]


def other_csv(org: Org) -> None:
    """Other delimiters and line ends, from the job's settings to its results."""
    sf = client(org)
    # Line breaks in values end as lines do: Salesforce is known to refuse others.
    good = [contact(number) for number in range(20)]
    for record in good:
        record["Description"] = record["Description"].replace("\n", "\r\n")
    form = {"column_delimiter": ColumnDelimiter.PIPE, "line_ending": LineEnding.CRLF}
    (job,) = sf.bulk2.Contact.insert(records=good, wait=0, **form)
    assert counts([job]) == (20, 0)
    assert_holds(org, good)
    accepted = by_key(read(sf.bulk2.Contact.get_successful_records(job["job_id"]), delimiter="|"))
    assert all(accepted[record[KEY]]["Description"] == record["Description"] for record in good)


def upserts_updates_and_deletes(org: Org) -> None:
    sf = client(org)
    first = [contact(number) for number in range(200)]
    sf.bulk2.Contact.upsert(records=first, external_id_field=KEY, wait=0)
    upserted = [contact(number) | {"LastName": "Ö", "Department": "#N/A"} for number in range(100, 300)]
    (job,) = sf.bulk2.Contact.upsert(records=upserted, external_id_field=KEY, wait=0)
    assert counts([job]) == (200, 0)
    accepted = by_key(read(sf.bulk2.Contact.get_successful_records(job["job_id"])))
    created = {key for key, record in accepted.items() if record["sf__Created"] == "true"}
    assert created == {f"C-{number}" for number in range(200, 300)}
    assert_holds(org, first[:100] + upserted)

    ids = {row[KEY]: row["Id"] for row in org.rows("Contact")}
    changes = [{"Id": ids[f"C-{number}"], "Title": TEXTS[1], "Phone": ""} for number in range(50)]
    nobody = {"Id": ids["C-0"][:10] + "zzzzz", "Title": "x", "Phone": ""}
    (job,) = sf.bulk2.Contact.update(records=[*changes, nobody], wait=0)
    assert counts([job]) == (51, 1)
    (failed,) = read(sf.bulk2.Contact.get_failed_records(job["job_id"]))
    assert failed["Id"] == nobody["Id"], failed
    accepted = read(sf.bulk2.Contact.get_successful_records(job["job_id"]))
    assert {(record["sf__Created"], record["Title"]) for record in accepted} == {("false", TEXTS[1])}
    changed = [record | {"Title": TEXTS[1]} for record in first[:50]]
    assert_holds(org, changed + first[50:100] + upserted)

    gone = [{"Id": ids[f"C-{number}"]} for number in range(100)]
    (job,) = sf.bulk2.Contact.delete(records=gone, wait=0)
    assert counts([job]) == (100, 0)
    assert_holds(org, upserted)
    assert len(org.get("objects/Contact/deleted")) == 100
    # Records that are gone cannot be deleted a second time.
    (job,) = sf.bulk2.Contact.delete(records=gone[:3], wait=0)
    assert counts([job]) == (3, 3)

    lost = [{"Id": row["Id"]} for row in org.rows("Contact")[:20]]
    try:
        sf.bulk2.Contact.hard_delete(records=lost, wait=0)
    except SalesforceMalformedRequest as error:
        assert error.content[0]["errorCode"] == "FEATURENOTENABLED", error
    else:
        raise AssertionError("the user may not delete for good")
    org.post("options", {"hard_delete": True})
    (job,) = sf.bulk2.Contact.hard_delete(records=lost, wait=0)
    assert counts([job]) == (20, 0)
    assert org.count("Contact") == 180 and len(org.get("objects/Contact/deleted")) == 100


def refused_jobs(org: Org) -> None:
    """Files that are refused as a whole, and a job that breaks off: all is left unprocessed."""
    sf = client(org)
    timeout = "Timeout : the batch was retried too often"
    for record, reason in [
        ({"LastName": "Ng", "Nope__c": "1"}, "InvalidBatch : Field name not found : Nope__c"),
        ({"LastName": "two\r\nlines"}, "ClientInputError : LineEnding is invalid on user data"),
        ({"LastName": "Ng"}, timeout),
    ]:
        if reason == timeout:
            org.post("faults", [{"do": {"fail_job": {"after_batches": 0, "message": timeout}}}])
        try:
            sf.bulk2.Contact.insert(records=[record], wait=0)
        except SalesforceOperationError as error:
            assert reason in str(error), error
        else:
            raise AssertionError(f"{reason} expected")
        job = org.get("state")["jobs"][-1]["id"]
        assert read(sf.bulk2.Contact.get_unprocessed_records(job)) == [record]
        assert read(sf.bulk2.Contact.get_successful_records(job)) == []
        assert read(sf.bulk2.Contact.get_failed_records(job)) == []
    assert org.count("Contact") == 0


def queries(org: Org) -> None:
    """SOQL in pages, and exports by query jobs."""
    sf = client(org)
    records = [contact(number) for number in range(2300)]
    sf.bulk2.Contact.insert(records=records, wait=0)
    found = sf.query_all(f"SELECT {KEY}, Description FROM Contact WHERE CreatedDate = TODAY")
    texts = {record[KEY]: record["Description"] for record in found["records"]}
    assert texts == {record[KEY]: record["Description"] for record in records}
    assert sf.query("SELECT COUNT() FROM Contact")["totalSize"] == 2300
    soql = format_soql(f"SELECT Name FROM Contact WHERE {KEY} IN {{}} ORDER BY {KEY}", ["C-1", "C-2"])
    named = [record["Name"] for record in sf.query(soql)["records"]]
    assert named == [records[1]["LastName"], records[2]["LastName"]]

    gone = [{"Id": record["Id"]} for record in sf.query("SELECT Id FROM Contact LIMIT 300")["records"]]
    sf.bulk2.Contact.delete(records=gone, wait=0)
    soql = f"SELECT {KEY}, Description FROM Contact"
    pages = list(sf.bulk2.Contact.query(soql, max_records=500))
    exported = [record for page in pages for record in read(page)]
    assert len(pages) == 4 and len(exported) == 2000
    assert all(texts[record[KEY]] == record["Description"] for record in exported)
    everything = list(sf.bulk2.Contact.query_all(soql))
    assert sum(len(read(page)) for page in everything) == 2300
    assert sf.query_all("SELECT Id FROM Contact", include_deleted=True)["totalSize"] == 2300
    with TemporaryDirectory() as directory:
        files = sf.bulk2.Contact.download(soql, path=directory, max_records=1500)
        assert [file["number_of_records"] for file in files] == [1500, 500]

    records = [{"Name": "Acme", KEY: "A-1"}]
    sf.bulk2.Account.insert(records=records, wait=0)
    records = [{"LastName": "Ng", KEY: "P-1", f"Account.{KEY}": "A-1"}, {"LastName": "Ng", KEY: "P-2"}]
    sf.bulk2.Contact.insert(records=records, wait=0)
    soql = f"SELECT {KEY}, Account.Name, Account.Owner.Name FROM Contact WHERE {KEY} LIKE 'P-%' ORDER BY {KEY}"
    first, second = sf.query(soql)["records"]
    assert first["Account"]["Name"] == "Acme" and first["Account"]["Owner"]["Name"] == "Lena Loader"
    assert second["Account"] is None
    exported = read("".join(sf.bulk2.Contact.query(soql)))
    assert [record["Account.Name"] for record in exported] == ["Acme", ""]
    soql = "SELECT Account.Name, COUNT(Id) many FROM Contact GROUP BY Account.Name ORDER BY COUNT(Id)"
    assert [group["many"] for group in sf.query(soql)["records"]] == [1, 2001]

    for wrong, code in [
        ("SELECT Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id FROM", "MALFORMED_QUERY"),
    ]:
        try:
            sf.query(wrong)
        except SalesforceMalformedRequest as error:
            assert error.content[0]["errorCode"] == code, error
        else:
            raise AssertionError(f"{code} expected")


def faults_of_downloads(org: Org) -> None:
    """What this client makes of pages that are spoiled: it takes the records that are there."""
    sf = client(org)
    sf.bulk2.Contact.insert(records=[contact(number) for number in range(300)], wait=0)
    soql = f"SELECT {KEY} FROM Contact"
    for fault, found in [
        ({"cut": {"share": 0.5}}, 250),
        ({"repeat": {}}, 300),
        ({"circle": {}}, 400),
    ]:
        fault = {"calls": ["query_results"], "skip": 1, "do": {"result_page": fault}}
        org.post("faults", [fault])
        pages = sf.bulk2.Contact.query(soql, max_records=100)
        assert sum(len(read(page)) for page in pages) == found, fault
    org.post("faults", [{"calls": ["query_create"], "do": {"end_job": {"message": "QUERY_TIMEOUT: too long"}}}])
    try:
        list(sf.bulk2.Contact.query(soql))
    except SalesforceOperationError as error:
        assert "QUERY_TIMEOUT" in str(error), error
    else:
        raise AssertionError("QUERY_TIMEOUT expected")


def main(binary: str) -> None:
    binary = str(Path(binary).resolve())
    with simulated_org(binary) as org:
        for test in [
            logins,
            jwt_login,
            describes,
            inserts,
            other_csv,
            upserts_updates_and_deletes,
            refused_jobs,
            queries,
            faults_of_downloads,
        ]:
            org.reset()
            test(org)
            print(f"simple-salesforce {version('simple-salesforce')}: {test.__name__} ok", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
