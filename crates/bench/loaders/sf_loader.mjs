// The sf command line loads a CSV file: login, load, results, as three commands.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const of = (name) => process.env[`BENCH_${name}`];
const home = join(of("FOLDER"), "sf");
mkdirSync(home, { recursive: true });
const sf = fileURLToPath(new URL("node_modules/.bin/sf", import.meta.url));
const env = {
  ...process.env,
  HOME: home,
  SF_ACCESS_TOKEN: of("ACCESS_TOKEN"),
  SF_DISABLE_TELEMETRY: "true",
  SF_AUTOUPDATE_DISABLE: "true",
  SF_HIDE_RELEASE_NOTES: "true",
  SF_SKIP_NEW_VERSION_CHECK: "true",
};
// What a command answers as JSON; a load with failed records ends with an exit code that is not 0.
const run = (...words) => {
  const options = { env, cwd: home, encoding: "utf8", maxBuffer: 1 << 30 };
  const { stdout, stderr, error } = spawnSync(sf, [...words, "--json"], options);
  if (error) throw error;
  console.error(stdout.slice(0, 4000), stderr.slice(0, 4000));
  return { text: stdout, ...JSON.parse(stdout) };
};

const login = ["org", "login", "access-token", "--instance-url", of("INSTANCE_URL")];
if (run(...login, "--no-prompt", "--alias", "bench").status !== 0) process.exit(1);
const verb = of("OPERATION") === "upsert" ? ["upsert", "bulk"] : ["import", "bulk"];
const key = of("EXTERNAL_ID") ? ["--external-id", of("EXTERNAL_ID")] : [];
const file = ["--file", of("CSV"), "--sobject", of("OBJECT"), "--line-ending", "LF"];
const load = run("data", ...verb, ...file, ...key, "--target-org", "bench", "--wait", "1440");
const job = /750[0-9A-Za-z]{15}/.exec(load.text)?.[0];
if (load.status === 0) process.exit(0);
if (!job) process.exit(1);
const results = run("data", "bulk", "results", "--job-id", job, "--target-org", "bench");
if (results.status !== 0 || results.result?.status !== "JobComplete") process.exit(1);
for (const name of readdirSync(home).filter((name) => name.includes("failed"))) {
  copyFileSync(join(home, name), join(of("REJECTS"), name));
}
