/** What is read from the suite: its list of client scenarios and its result files. */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clientScenarios, readResults } from "./suite.ts";

const listing = `Required for 2026-07-28 (4 scenarios, frozen; run at the 2026-07-28 wire):

Server scenarios (test against a server):
  - tools-list

Client scenarios (test against a client):
  - tools_call
  - auth/metadata-default
  - request-metadata

Run and reported, but never scored:
  extension (2):
    - tasks-lifecycle [server]
    - auth/dpop [client]
  added-after-release (1):
    - json-schema-2020-12-preservation [client]
`;

test("client scenarios are those required and those only reported, without the OAuth client's", () => {
  expect(clientScenarios(listing)).toEqual([
    "json-schema-2020-12-preservation",
    "request-metadata",
    "tools_call",
  ]);
});

test("results are read by scenario, whatever its name, and a scenario without a result failed", () => {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-suite-test-"));
  const time = "2026-07-28T19-48-00-123Z";
  const check = { id: "a", name: "A", status: "SUCCESS", timestamp: time, details: { any: 1 } };
  try {
    for (const name of ["server-server-stateless", "server-json-schema-2020-12", "tools_call"]) {
      mkdirSync(join(folder, `${name}-${time}`));
      writeFileSync(join(folder, `${name}-${time}`, "checks.json"), JSON.stringify([check]));
    }
    mkdirSync(join(folder, `server-ping-${time}`));
    const results = readResults(folder);
    expect([...results.keys()].sort()).toEqual([
      "json-schema-2020-12",
      "ping",
      "server-stateless",
      "tools_call",
    ]);
    expect(results.get("server-stateless")).toEqual([{ id: "a", name: "A", status: "SUCCESS" }]);
    expect(results.get("ping")?.map(({ status }) => status)).toEqual(["FAILURE"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
