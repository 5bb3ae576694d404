/** Port and secret of an endpoint on a real disk. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realRandom } from "../base/random.ts";
import { loadEndpointFile, saveEndpointPort } from "./endpoint-file.ts";

let folder = "";
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "endpoint-")), "agent");
});
afterEach(() => rmSync(join(folder, ".."), { recursive: true, force: true }));

const load = (name = "proxy") => loadEndpointFile(folder, name, realRandom);

test("P1: port and secret are the same after a restart", () => {
  const first = load();
  expect(first.port).toBe(0);
  saveEndpointPort(folder, "proxy", 4_711);
  expect(load()).toEqual({ ...first, port: 4_711 });
});

test("the secret is 256 bits, alone in a file that can be handed on", () => {
  const { secret, secretFile } = load();
  expect(Buffer.from(secret, "base64url")).toHaveLength(32);
  expect(readFileSync(secretFile, "utf8")).toBe(`${secret}\n`);
});

test("endpoints of one folder have their own", () => {
  load();
  saveEndpointPort(folder, "proxy", 4_711);
  expect(load("control").port).toBe(0);
  expect(load("control").secret).not.toBe(load("proxy").secret);
});

test("P4: [P4.6] both files are 0600 in a folder of 0700", () => {
  load();
  saveEndpointPort(folder, "proxy", 1);
  const modes = ["proxy.secret", "proxy.json", "."].map((name) => statSync(join(folder, name)).mode & 0o777);
  expect(modes).toEqual([0o600, 0o600, 0o700]);
});

test("a secret that others may read is not used", () => {
  chmodSync(load().secretFile, 0o644);
  expect(() => load()).toThrow("others may read it (mode 644), 600 was wanted");
});

test("a cut secret is replaced, a damaged port is forgotten", () => {
  const { secret, secretFile } = load();
  writeFileSync(secretFile, secret.slice(0, 10));
  expect(load().secret).toHaveLength(43);
  expect(load().secret).toBe(load().secret);
  for (const text of ["{", "{}", '{"port":70000}', '{"port":"1"}']) {
    writeFileSync(join(folder, "proxy.json"), text, { mode: 0o600 });
    expect(load().port).toBe(0);
  }
});
