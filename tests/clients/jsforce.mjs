// jsforce loads a simulated org: what it expects of Salesforce, the simulator does.
//
// Usage: node jsforce.mjs BINARY, the binary having `simulate`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

import jsforce from "jsforce";

const { version } = createRequire(import.meta.url)("jsforce/package.json");
const KEY = "Ext_Id__c";
const TEXTS = [
  "plain",
  "comma, and 'quotes' \"double\"",
  "two\nlines\n",
  "emoji 🚀 and Œuvre, 漢字",
  '"',
  "=1+1; a|b\tc",
];
const POLLING = { pollInterval: 20, pollTimeout: 20_000 };

// A simulated org, and what it says of itself.
async function simulatedOrg(binary) {
  const stdio = ["ignore", "pipe", "inherit"];
  const simulator = spawn(binary, ["simulate", "--port", "0"], { stdio });
  const url = await new Promise((resolve, reject) => {
    createInterface(simulator.stdout).once("line", resolve);
    simulator.once("error", reject);
    simulator.once("exit", (code) => reject(new Error(`the simulator ended with ${code}`)));
  });
  const get = async (path) => (await fetch(`${url}/sim/${path}`)).json();
  const reset = () => fetch(`${url}/sim/reset`, { method: "POST" });
  return { url, get, reset, stop: () => simulator.kill() };
}

async function connection(org) {
  const oauth2 = {
    loginUrl: org.url,
    clientId: "sim-client-id",
    clientSecret: "sim-client-secret",
  };
  const made = new jsforce.Connection({ oauth2, instanceUrl: org.url, version: "62.0" });
  await made.authorize({ grant_type: "client_credentials" });
  return made;
}

const numbers = (from, to) => Array.from({ length: to - from }, (_, at) => from + at);
const byKey = (records) => new Map(records.map((record) => [record[KEY], record]));

const contact = (number) => ({
  [KEY]: `C-${number}`,
  LastName: `Ng ${number}`,
  Description: `${TEXTS[number % TEXTS.length]} ${number}`,
  Department: number % 2 ? null : "Sales",
  DoNotCall: number % 3 !== 0,
});

// What the org shows of a value that was sent.
const shown = (value) => (typeof value === "boolean" ? String(value) : value);

// The org holds these contacts, field by field, and no others.
async function assertHolds(org, expected) {
  const rows = byKey(await org.get("objects/Contact/rows"));
  assert.equal(rows.size, expected.length);
  for (const record of expected) {
    const row = rows.get(record[KEY]);
    for (const [field, value] of Object.entries(record)) {
      assert.equal(row[field] ?? null, shown(value), `${field} of ${record[KEY]}`);
    }
  }
}

function assertCounts(results, successful, failed) {
  assert.equal(results.successfulResults.length, successful);
  assert.equal(results.failedResults.length, failed);
  assert.equal(results.unprocessedRecords.length, 0);
}

// One job with all its steps; what its results say.
const load = (conn, object, operation, input, more = {}) =>
  conn.bulk2.loadAndWaitForResults({ object, operation, input, ...more, ...POLLING });

async function logins(org) {
  const conn = await connection(org);
  await conn.describeGlobal();
  assert.ok(conn.limitInfo.apiUsage.limit > conn.limitInfo.apiUsage.used);
  const refreshed = new jsforce.Connection({
    oauth2: conn.oauth2,
    instanceUrl: org.url,
    accessToken: "00D!ended",
    refreshToken: "sim-refresh-token",
    version: "62.0",
  });
  assert.equal((await refreshed.query("SELECT IsSandbox FROM Organization")).totalSize, 1);
  const direct = new jsforce.Connection({ instanceUrl: org.url, accessToken: "00D!ended" });
  await assert.rejects(direct.describeGlobal(), { errorCode: "INVALID_SESSION_ID" });
  const wrong = new jsforce.OAuth2({ ...conn.oauth2, loginUrl: org.url, clientSecret: "x" });
  const asked = wrong.requestToken({ grant_type: "client_credentials" });
  await assert.rejects(asked, { name: "invalid_client" });
  const user = await conn.identity();
  assert.equal(user.organization_id, "00D5g0000000000EAA");
}

// A person lets jsforce in: the authorization code flow with PKCE, and the end of the approval.
async function webLogin(org) {
  const redirectUri = "http://localhost:1717/OauthRedirect";
  const oauth2 = new jsforce.OAuth2({
    loginUrl: org.url,
    clientId: "sim-client-id",
    redirectUri,
    useVerifier: true,
  });
  const address = oauth2.getAuthorizationUrl({ scope: "api refresh_token id", state: "s 1" });
  assert.match(await (await fetch(address)).text(), /id="username"/);
  const person = { username: "loader@sim.example", password: "sim-password" };
  const answer = async (decision) => {
    const body = new URLSearchParams({ ...person, decision });
    const sent = await fetch(address, { method: "POST", body, redirect: "manual" });
    assert.equal(sent.status, 302);
    return new URL(sent.headers.get("location"));
  };
  assert.equal((await answer("Deny")).searchParams.get("error"), "access_denied");
  const callback = await answer("Allow");
  assert.ok(callback.href.startsWith(redirectUri));
  assert.equal(callback.searchParams.get("state"), "s 1");
  const conn = new jsforce.Connection({ oauth2, version: "62.0" });
  const user = await conn.authorize(callback.searchParams.get("code"));
  assert.equal(user.organizationId, "00D5g0000000000EAA");
  assert.equal((await conn.identity()).username, person.username);
  const { access_token: second } = await oauth2.refreshToken(conn.refreshToken);
  assert.notEqual(second, conn.accessToken);
  await oauth2.revokeToken(conn.refreshToken);
  await assert.rejects(oauth2.refreshToken(conn.refreshToken), { name: "invalid_grant" });
  const ended = new jsforce.Connection({ instanceUrl: org.url, accessToken: second });
  await assert.rejects(ended.describeGlobal(), { errorCode: "INVALID_SESSION_ID" });
}

async function describes(org) {
  const conn = await connection(org);
  const { sobjects } = await conn.describeGlobal();
  assert.ok(sobjects.find(({ name }) => name === "Contact").createable);
  const { fields } = await conn.describe("Contact");
  assert.ok(fields.find(({ name }) => name === KEY).externalId);
  // Several describes in one composite request.
  const compositeRequest = ["Lead", "Nope"].map((name) => ({
    method: "GET",
    url: `/services/data/v62.0/sobjects/${name}/describe`,
    referenceId: name,
  }));
  const { compositeResponse } = await conn.requestPost("/composite", { compositeRequest });
  assert.deepEqual(compositeResponse.map((answer) => answer.httpStatusCode), [200, 404]);
}

async function inserts(org) {
  const conn = await connection(org);
  const good = numbers(0, 300).map(contact);
  const bad = [
    [{ [KEY]: "B-1", LastName: null }, "REQUIRED_FIELD_MISSING"],
    [{ [KEY]: "B-2", LastName: "x".repeat(81) }, "STRING_TOO_LONG"],
  ];
  const results = await load(conn, "Contact", "insert", [...good, ...bad.map(([record]) => record)]);
  assertCounts(results, 300, 2);
  await assertHolds(org, good);
  const rows = byKey(await org.get("objects/Contact/rows"));
  for (const record of results.successfulResults) {
    assert.equal(record.sf__Created, "true");
    assert.equal(record.sf__Id, rows.get(record[KEY]).Id);
    const sent = contact(Number(record[KEY].slice(2)));
    assert.equal(record.Description, sent.Description);
  }
  const failed = byKey(results.failedResults);
  for (const [record, code] of bad) {
    assert.ok(failed.get(record[KEY]).sf__Error.startsWith(`${code}:`));
  }
}

// The same from a stream of CSV, whose length is not known before.
async function streams(org) {
  const conn = await connection(org);
  const lines = numbers(0, 500).map((number) => `C-${number},"Ng, ""${number}"" 🚀"\n`);
  const input = Readable.from([`${KEY},LASTNAME\n`, ...lines]);
  assertCounts(await load(conn, "Contact", "insert", input, { lineEnding: "LF" }), 500, 0);
  const row = (await org.get("objects/Contact/rows")).find((found) => found[KEY] === "C-499");
  assert.equal(row.LastName, 'Ng, "499" 🚀');
}

async function upsertsUpdatesAndDeletes(org) {
  const conn = await connection(org);
  const key = { externalIdFieldName: KEY };
  const first = numbers(0, 200).map(contact);
  assertCounts(await load(conn, "Contact", "upsert", first, key), 200, 0);
  const second = numbers(100, 300).map((number) => ({ ...contact(number), LastName: "Ö" }));
  const upserted = await load(conn, "Contact", "upsert", second, key);
  assertCounts(upserted, 200, 0);
  const created = upserted.successfulResults.filter((record) => record.sf__Created === "true");
  assert.equal(created.length, 100);
  await assertHolds(org, [...first.slice(0, 100), ...second]);

  const rows = byKey(await org.get("objects/Contact/rows"));
  const id = (number) => rows.get(`C-${number}`).Id;
  const changes = numbers(0, 50).map((number) => ({ Id: id(number), Title: TEXTS[1] }));
  const nobody = { Id: `${id(0).slice(0, 10)}zzzzz`, Title: "x" };
  const updated = await load(conn, "Contact", "update", [...changes, nobody]);
  assertCounts(updated, 50, 1);
  assert.equal(updated.failedResults[0].Id, nobody.Id);
  const changed = first.slice(0, 50).map((record) => ({ ...record, Title: TEXTS[1] }));
  await assertHolds(org, [...changed, ...first.slice(50, 100), ...second]);

  const gone = numbers(0, 100).map((number) => ({ Id: id(number) }));
  assertCounts(await load(conn, "Contact", "delete", gone), 100, 0);
  await assertHolds(org, second);
  assertCounts(await load(conn, "Contact", "delete", gone.slice(0, 3)), 0, 3);
}

async function refusedAndAbortedJobs(org) {
  const conn = await connection(org);
  const refused = load(conn, "Contact", "insert", [{ LastName: "Ng", Nope__c: "1" }]);
  await assert.rejects(refused, /InvalidBatch : Field name not found : Nope__c/);
  const nothing = conn.bulk2.createJob({ object: "Nope__c", operation: "insert" }).open();
  await assert.rejects(nothing, { name: "INVALIDJOB" });
  const job = conn.bulk2.createJob({ object: "Contact", operation: "insert" });
  await job.open();
  await job.uploadData([{ LastName: "Ng" }]);
  await job.abort();
  assert.equal((await job.check()).state, "Aborted");
  await assert.rejects(job.close(), { name: "INVALIDJOBSTATE" });
  await job.delete();
  await assert.rejects(job.check(), { name: "NOT_FOUND" });
  assert.equal((await org.get("objects/Contact")).count, 0);
}

async function queries(org) {
  const conn = await connection(org);
  const records = numbers(0, 2300).map(contact);
  await load(conn, "Contact", "insert", records);
  const found = await conn.query(`SELECT ${KEY}, Description FROM Contact`, { autoFetch: true });
  assert.equal(found.records.length, 2300);
  const texts = new Map(found.records.map((record) => [record[KEY], record.Description]));
  for (const record of records) {
    assert.equal(texts.get(record[KEY]), record.Description);
  }
  const like = conn.sobject("Contact").find({ LastName: { $like: "Ng 10%" } }, "Id, Name");
  const names = (await like.sort({ Name: -1 }).limit(2).execute()).map(({ Name }) => Name);
  assert.deepEqual(names, ["Ng 1099", "Ng 1098"]);
  assert.equal(await conn.sobject("Contact").count({ [KEY]: ["C-1", "C-2"] }), 2);
  const soql = `SELECT ${KEY}, Description FROM Contact`;
  const exported = await (await conn.bulk2.query(soql, POLLING)).toArray();
  assert.equal(exported.length, 2300);
  for (const record of exported) {
    assert.equal(record.Description, texts.get(record[KEY]));
  }
  await conn.sobject("Account").create({ Name: "Acme", [KEY]: "A-1" });
  const child = { LastName: "Ng", [KEY]: "P-1", [`Account.${KEY}`]: "A-1" };
  await load(conn, "Contact", "insert", [child]);
  const path = `SELECT Account.Name, Account.Owner.Name FROM Contact WHERE ${KEY} = 'P-1'`;
  const [record] = (await conn.query(path)).records;
  assert.deepEqual([record.Account.Name, record.Account.Owner.Name], ["Acme", "Lena Loader"]);
  const [column] = await (await conn.bulk2.query(path, POLLING)).toArray();
  assert.equal(column["Account.Name"], "Acme");
  const groups = await conn.query("SELECT Account.Name, COUNT(Id) many FROM Contact GROUP BY Account.Name");
  assert.deepEqual(groups.records.map(({ many }) => many).sort(), [1, 2300]);
  const wrong = conn.query("SELECT Nope FROM Contact");
  await assert.rejects(wrong, { errorCode: "INVALID_FIELD" });
  await assert.rejects(conn.bulk2.query("SELECT Nope FROM Contact", POLLING), /No such column 'Nope'/);
}

const org = await simulatedOrg(process.argv[2]);
try {
  for (const test of [
    logins,
    webLogin,
    describes,
    inserts,
    streams,
    upsertsUpdatesAndDeletes,
    refusedAndAbortedJobs,
    queries,
  ]) {
    await org.reset();
    await test(org);
    console.log(`jsforce ${version}: ${test.name} ok`);
  }
} finally {
  org.stop();
}
