/**
 * Every kind of bad input as a row: one line on standard error that says what is wrong, the documented exit code,
 * and not a byte written. The home of a row is new unless it says otherwise.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { realRandom } from "../../src/base/random.ts";
import { tokenText } from "../../src/wire/token.ts";
import { needs } from "../needs.ts";
import {
  addresses,
  authorities,
  type Place,
  policies,
  proxy,
  type Row,
  run,
  taken,
  tokens,
  usage,
} from "./bad-input-rows.ts";
import { type Ended, openWorld, type Serving, snapshot, type World } from "./kit.ts";

let world: World;
let relay: Serving & { url: string };
/** A web server that is no relay, and what the rows are given. */
let web: ReturnType<typeof Bun.serve>;
let at: Place;
/** A first run against nothing takes ten seconds: it goes on beside the other rows. */
let patient: Promise<Ended>;
const patientHome = () => at.file("patient");

beforeAll(async () => {
  world = openWorld();
  relay = await world.up();
  web = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("<html>hello</html>") });
  const alice = [
    "run",
    "exec",
    "--name",
    "alice",
    "--relay",
    relay.url,
    "HOME",
    "--json",
    "--",
    "sleep",
    "1000",
  ];
  await world.start(alice).ready();
  const rows = join(world.folder, "rows");
  mkdirSync(rows);
  at = {
    folder: world.folder,
    used: world.home,
    rows,
    relay: relay.url,
    relayPort: new URL(relay.url).port,
    web: `http://127.0.0.1:${web.port}`,
    token: join(world.home, "operator.token"),
    file: (name) => join(world.folder, name),
  };
  patient = world.cli(run(at, patientHome(), "--relay", "http://127.0.0.1:1"));
  writeFileSync(at.file("unknown.token"), tokenText("operator", realRandom.bytes(32)), { mode: 0o600 });
  writeFileSync(at.file("malformed.token"), "arl_opr_tooshort", { mode: 0o600 });
  writeFileSync(at.file("empty.token"), "", { mode: 0o600 });
  copyFileSync(at.token, at.file("open.token"));
  chmodSync(at.file("open.token"), 0o644);
  writeFileSync(at.file("text"), "not a program");
  writeFileSync(at.file("cut.json"), "{");
  writeFileSync(at.file("no-key.json"), '{"tools":{"write it":{"buffered":true}}}');
  writeFileSync(at.file("unknown.json"), '{"tools":{"a":{"buffer":true}}}');
});
afterAll(async () => {
  await web.stop(true);
  await world.close();
});

function expectRefused({ code, stdout, stderr }: Ended, row: { code: number; says: string }) {
  expect({ code, stdout, stderr }).toEqual({
    code: row.code,
    stdout: "",
    stderr: `agent-relay: ${row.says}\n`,
  });
}

/** Runs a row with a home that is not there; gives what it said, after seeing that it still is not there. */
async function refuse(row: Row): Promise<Ended> {
  const home = join(at.rows, "home");
  const ended = await world.cli(row.args(at, home), { cwd: at.rows });
  expect({ home: existsSync(home), written: snapshot(at.rows) }).toEqual({ home: false, written: [] });
  return ended;
}

describe("C: [C.4] is refused in one line, with nothing written:", () => {
  test.each(usage)("$what", async (row) => {
    expectRefused(await refuse(row), { code: row.code, says: row.says(at) });
  });
  test.each([...authorities, ...policies])("$what", async (row) => {
    expectRefused(await refuse(row), { code: row.code, says: row.says(at) });
  });
});

describe("C: [C.5] is named as in use:", () => {
  test.each(taken)("$what", async (row) => {
    expectRefused(await refuse(row), { code: row.code, says: row.says(at) });
  });

  test("a name that another home has enrolled, with the machine and the time", async () => {
    const { code, stdout, stderr } = await refuse({
      what: "",
      args: (place, home) => run(place, home, "--name", "alice"),
      code: 1,
      says: () => "",
    });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(
      /^agent-relay: Enrol a runner for 'alice': a runner on \S+ holds the name since \S+Z; a takeover would displace it; give another --name, or --takeover\n$/,
    );
  });
});

describe("C: [C.6] is named as what it is:", () => {
  test.each([...addresses, ...tokens])("$what", async (row) => {
    expectRefused(await refuse(row), { code: row.code, says: row.says(at) });
  });
});

describe("C: [C.5] a home", () => {
  const commands: [string, (home: string) => string[]][] = [
    ["up", (home) => ["up", "--port", "0", "--home", home]],
    ["run", (home) => run(at, home)],
    ["proxy", (home) => proxy(home)],
    ["status", (home) => ["status", "--home", home]],
    ["outbox ls", (home) => ["outbox", "ls", "--home", home]],
    ["inbox", (home) => ["inbox", "operator", "--home", home]],
  ];
  const homeOf = (name: string) => join(at.folder, `home of ${name.replace("/", " ")}`);
  const refusal = async (home: string, args: string[], says: string) => {
    const before = snapshot(at.folder).filter((line) => line.startsWith(home));
    expectRefused(await world.cli(args), { code: 77, says });
    expect(snapshot(at.folder).filter((line) => line.startsWith(home))).toEqual(before);
  };

  test.each(commands)("that is a file is refused by %s", async (name, args) => {
    const home = homeOf(`file ${name}`);
    writeFileSync(home, "mine", { mode: 0o600 });
    await refusal(home, args(home), `Use ${home}: it is not a folder`);
  });

  test.each(commands)("that others may write to is refused by %s", async (name, args) => {
    const home = homeOf(`group ${name}`);
    mkdirSync(home);
    chmodSync(home, 0o770);
    await refusal(home, args(home), `Use ${home}: others may write to it (mode 770), 700 was wanted`);
  });

  test("below a file is refused by up", async () => {
    const home = join(at.file("text"), "home");
    await refusal(
      home,
      ["up", "--port", "0", "--home", home],
      `Use ${home}: a part of the path is not a folder`,
    );
  });

  needs("root")("of another user is refused by every command", async () => {
    const home = homeOf("nobody");
    mkdirSync(home, { mode: 0o700 });
    chownSync(home, 65_534, 65_534);
    for (const [, args] of commands)
      await refusal(home, args(home), `Use ${home}: it belongs to user 65534, this is user 0`);
  });

  needs("proc")("that cannot be made is refused by up", async () => {
    const home = "/proc/none/home";
    await refusal(
      home,
      ["up", "--port", "0", "--home", home],
      `Use ${home}: the folder cannot be made (ENOENT)`,
    );
  });
});

describe("C: [C.5] P2: [P2.14] of a home in use nothing is changed by", () => {
  /** What the running relay and runner do not touch while nobody asks them for anything. */
  const still = () => snapshot(at.used).filter((line) => !/-wal|-shm/.test(line));

  test("a second up", async () => {
    const before = still();
    const ended = await world.cli(["up", "--port", "0", "--home", at.used]);
    expectRefused(ended, { code: 75, says: `Start a relay in ${at.used}: another one runs there` });
    expect(still()).toEqual(before);
  });

  test("a second runner of the same agent", async () => {
    const before = still();
    const { code, stdout, stderr } = await world.cli(run(at, at.used, "--name", "alice"));
    expect([code, stdout]).toEqual([75, ""]);
    expect(stderr).toMatch(/^agent-relay: [^\n]*outbox[^\n]*\n$/);
    expect(still()).toEqual(before);
    const { stdout: told } = await world.cli(["status", "--json", "--home", at.used]);
    expect(JSON.parse(told)).toMatchObject({ local: [{ name: "alice", running: true }] });
  });
});

test("C: with --json a refusal is one JSON line", async () => {
  const ended = await world.cli(["agents", "--json", "--home", join(at.rows, "home")]);
  expect([ended.code, ended.stdout]).toEqual([2, ""]);
  expect(JSON.parse(ended.stderr)).toMatchObject({
    event: "error",
    exit: "usage",
    message: expect.any(String),
  });
});

test("C: [C.6] a relay that does not come up in ten seconds, for a first run", async () => {
  const says = "Reach the relay at http://127.0.0.1:1: nothing answers there (ECONNREFUSED)";
  expectRefused(await patient, { code: 69, says });
  expect(existsSync(patientHome())).toBe(false);
}, 20_000);
