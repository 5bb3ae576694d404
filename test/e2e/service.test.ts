/** The relay as people keep it: TLS, audit, backup and restore by the program itself. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { databaseOf } from "../../src/server.ts";
import { openWorld } from "./kit.ts";

const pem = (name: string) => join(import.meta.dir, "../fixtures/http", name);

test("[C.20] audit ls shows who did what; verify holds, finds a changed entry, and a log that was cut", async () => {
  const world = openWorld();
  try {
    const relay = await world.up();
    const made = await world.cli(["token", "create", "--kind", "host", "--note", "ci", "HOME", "--json"]);
    const { token } = JSON.parse(made.stdout) as { token: { id: string } };
    const listed = await world.cli(["audit", "ls", "HOME", "--json"]);
    const { entries } = JSON.parse(listed.stdout) as { entries: { kind: string; subject?: string }[] };
    expect(entries.map(({ kind }) => kind)).toContain("relay_started");
    expect(entries.find(({ kind }) => kind === "token_created")?.subject).toBe(token.id);
    const verified = await world.cli(["audit", "verify", "HOME", "--json"]);
    expect(verified.code).toBe(0);
    const { head } = JSON.parse(verified.stdout) as { head: string };
    expect((await world.cli(["audit", "verify", "--head", head, "HOME"])).code).toBe(0);
    const cut = await world.cli(["audit", "verify", "--head", `${head.slice(0, -1)}x`, "HOME"]);
    expect({ code: cut.code, stderr: cut.stderr }).toMatchObject({ code: 2 });
    await relay.stop();
    const database = new Database(databaseOf(world.home));
    database.run("DROP TRIGGER audit_is_not_changed");
    database.run("UPDATE audit SET subject = 'nobody' WHERE kind = 'token_created'");
    database.close();
    await world.up();
    const broken = await world.cli(["audit", "verify", "HOME"]);
    expect(broken.code).toBe(1);
    expect(broken.stdout).toStartWith("BROKEN at entry ");
  } finally {
    await world.close();
  }
}, 30_000);

test("[C.21] backup while it runs, restore while it does not, and a new generation after it", async () => {
  const world = openWorld();
  try {
    const relay = await world.up();
    await world.cli(["send", "operator", "kept", "HOME"]);
    const file = join(world.folder, "relay.backup");
    const backup = await world.cli(["backup", file, "HOME", "--json"]);
    expect({ code: backup.code, stderr: backup.stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(backup.stdout)).toMatchObject({ file, generation: 1, messages: 1 });
    expect((statSync(file).mode & 0o777).toString(8)).toBe("600");
    expect((await world.cli(["backup", file, "HOME"])).code).toBe(2);
    await world.cli(["send", "operator", "lost", "HOME"]);
    const busy = await world.cli(["restore", file, "HOME"]);
    expect(busy.code).toBe(75);
    await relay.stop();
    const restored = await world.cli(["restore", file, "HOME"]);
    expect({ code: restored.code, stderr: restored.stderr }).toEqual({ code: 0, stderr: "" });
    expect(restored.stdout).toContain("this is generation 2");
    await world.up();
    const inbox = await world.cli(["inbox", "operator", "HOME", "--json"]);
    const { messages } = JSON.parse(inbox.stdout) as { messages: { body: string }[] };
    expect(messages.map(({ body }) => body)).toEqual(["kept"]);
  } finally {
    await world.close();
  }
}, 30_000);

test("[C.22] up with TLS: commands trust the home's authority; without it, and with a key others can read, they stop", async () => {
  const world = openWorld();
  try {
    const key = join(world.folder, "relay.key");
    copyFileSync(pem("right.key"), key);
    chmodSync(key, 0o644);
    const args = ["up", "--port", "0", "HOME", "--json", "--tls-cert", pem("right.pem"), "--tls-key", key];
    const open = await world.cli(args);
    expect(open.stderr).toContain("others may read it");
    expect(existsSync(world.home)).toBe(false);
    chmodSync(key, 0o600);
    const half = await world.cli(["up", "--port", "0", "HOME", "--tls-cert", pem("right.pem")]);
    expect(half).toMatchObject({ code: 2 });
    const other = join(world.folder, "other.key");
    copyFileSync(pem("wrong.key"), other);
    chmodSync(other, 0o600);
    const pair = await world.cli([...args.slice(0, -1), other]);
    expect(pair.code).toBe(2);
    expect(pair.stderr).toContain("the key is not that of the certificate");
    const relay = world.start(args);
    const { url } = await relay.ready();
    expect(url).toStartWith("https://127.0.0.1:");
    const untrusting = await world.cli(["agents", "HOME"]);
    expect(untrusting.code).toBe(69);
    mkdirSync(world.home, { recursive: true });
    copyFileSync(pem("ca.pem"), join(world.home, "ca.pem"));
    const status = await world.cli(["agents", "HOME", "--json"]);
    expect({ code: status.code, stderr: status.stderr }).toEqual({ code: 0, stderr: "" });
    expect(readFileSync(join(world.home, "relay", "url"), "utf8")).toBe(`${url}\n`);
  } finally {
    await world.close();
  }
}, 30_000);

test("[C.22] beyond loopback without TLS is refused in one line, and nothing is written", async () => {
  const world = openWorld();
  try {
    const refused = await world.cli(["up", "--port", "0", "--host", "0.0.0.0", "HOME"]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr.trim().split("\n")).toHaveLength(1);
    expect(refused.stderr).toContain("--tls-cert");
    expect(existsSync(world.home)).toBe(false);
  } finally {
    await world.close();
  }
}, 30_000);
