// jsforce loads a stream of a CSV file, with its defaults but for the time that a job may take.

import { createReadStream, createWriteStream } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";

import jsforce from "jsforce";

const of = (name) => process.env[`BENCH_${name}`];
const oauth2 = {
  loginUrl: of("INSTANCE_URL"),
  clientId: of("CLIENT_ID"),
  clientSecret: of("CLIENT_SECRET"),
};
const connection = new jsforce.Connection({
  oauth2,
  instanceUrl: of("INSTANCE_URL"),
  accessToken: of("ACCESS_TOKEN"),
  refreshToken: of("REFRESH_TOKEN"),
  version: of("API_VERSION"),
});
const results = await connection.bulk2.loadAndWaitForResults({
  object: of("OBJECT"),
  operation: of("OPERATION"),
  externalIdFieldName: of("EXTERNAL_ID"),
  lineEnding: "LF",
  input: createReadStream(of("CSV")),
  pollTimeout: 24 * 3600 * 1000,
});
if (results.failedResults.length > 0) {
  const file = createWriteStream(join(of("REJECTS"), "failed.jsonl"));
  for (const record of results.failedResults) {
    if (!file.write(JSON.stringify(record) + "\n")) {
      await once(file, "drain");
    }
  }
  file.end();
  await once(file, "finish");
}
