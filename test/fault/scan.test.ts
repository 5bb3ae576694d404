/** The token scan must find what is planted, wherever it is planted, and must let the owning files be. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realRandom } from "../../src/base/random.ts";
import { tokenText } from "../../src/wire/token.ts";
import { needs } from "../needs.ts";
import { Scanner } from "./scan.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "agent-relay-scan-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const token = () => tokenText("runner", realRandom.bytes(32));
const owns = (path: string) => path.endsWith("operator.token");

function scanner() {
  return new Scanner({ pid: process.pid, folders: [folder], owns });
}

function plant(name: string, text: string, mode: number): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

/** A child that lives until it is killed, and holds the canary where it is told. */
function child(environment: Record<string, string>, argument: string) {
  return Bun.spawn(["sh", "-c", "read -r line", "canary", argument], {
    env: { ...environment, PATH: "/usr/bin:/bin" },
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
  });
}

async function stopped(spawned: ReturnType<typeof child>): Promise<void> {
  spawned.kill("SIGKILL");
  await spawned.exited;
}

needs("proc")(
  "a token in its own 0600 file is no find, and the files and processes were really searched",
  () => {
    const path = plant("operator.token", `${token()}\n`, 0o600);
    const scan = scanner();
    scan.pass();
    expect(scan.finds).toEqual([]);
    expect(scan.seen).toMatchObject({ passes: 1, tokens: 1 });
    expect(scan.seen.processes).toBeGreaterThan(0);
    rmSync(path);
  },
);

needs("proc")("a canary in a child's environment and in another's arguments is found", async () => {
  const [inEnvironment, inArguments] = [token(), token()];
  const children = [child({ CANARY: inEnvironment }, "x"), child({}, `--token=${inArguments}`)];
  try {
    const scan = scanner();
    scan.pass();
    expect(scan.finds.map(({ place, excerpt }) => [place, excerpt]).sort()).toEqual([
      ["cmdline", `${inArguments.slice(0, 12)}…`],
      ["environ", `${inEnvironment.slice(0, 12)}…`],
    ]);
  } finally {
    // Waited for: a child that is not gone yet is found again by the next test's scan.
    await Promise.all(children.map(stopped));
  }
});

test("a canary in a log, in a world-readable file and in a binary file is found", () => {
  const owned = token();
  plant("operator.token", owned, 0o644);
  plant("runner.log", `{"level":"info","token":"${token()}"}\n`, 0o600);
  plant("store.sqlite", `SQLite\0\u00ff\u00fe${token()}\0`, 0o600);
  const scan = scanner();
  scan.pass();
  expect(scan.finds.map(({ subject }) => subject.slice(folder.length + 1)).sort()).toEqual([
    "operator.token",
    "runner.log",
    "store.sqlite",
  ]);
  for (const { subject } of scan.finds) rmSync(subject);
});

test("an owned token is found without its prefix, in base64, in hex, and in printed text", () => {
  const owned = token();
  const path = plant("operator.token", owned, 0o600);
  plant("bare.txt", `secret=${owned.slice(8)}`, 0o600);
  plant("base64.txt", `header: ${Buffer.from(owned).toString("base64")}`, 0o600);
  plant("hex.txt", Buffer.from(owned).toString("hex"), 0o600);
  const scan = scanner();
  scan.pass();
  scan.text("printed", `the token is ${owned}`);
  expect(scan.finds.map(({ subject }) => subject.replace(`${folder}/`, "")).sort()).toEqual([
    "bare.txt",
    "base64.txt",
    "hex.txt",
    "printed",
  ]);
  rmSync(path);
});

test("a file that was clean is searched again when it has changed", () => {
  const scan = scanner();
  const path = plant("growing.log", "nothing yet\n", 0o600);
  scan.pass();
  expect(scan.finds.filter(({ subject }) => subject === path)).toEqual([]);
  plant("growing.log", `nothing yet\n${token()}\n`, 0o600);
  scan.pass();
  expect(scan.finds.filter(({ subject }) => subject === path)).toHaveLength(1);
});

test("a redacted token and a text of the same form without the checksum are no finds", () => {
  const scan = scanner();
  scan.text("redacted", "arl_run_[redacted]");
  scan.text("look-alike", `arl_run_${"a".repeat(49)}`);
  expect(scan.finds).toEqual([]);
});
