/**
 * What a hostile client can do with one connection: too much, too deep, too slow, broken. Each is refused in words
 * or by an end, within a bound, and the others are served meanwhile.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { createClient } from "../../src/sdk/client.ts";
import { askOnce, postBytes, RawConnection } from "../hostile/wire.ts";

/** On a busy machine, too. */
setDefaultTimeout(60_000);

/** The relay's timers run so many times faster: 30 s for a body are three. */
const speed = 10;
const bodyMs = 30_000 / speed;
/** The runtime ends a connection whose head is not complete by then. */
const headMs = 20_000;
const slowOnes = 50;

const program = resolve(import.meta.dir, "../fixtures/fast-relay.ts");
const readySchema = z.object({ url: z.string(), operatorTokenFile: z.string() });
const folder = mkdtempSync(join(tmpdir(), "relay-abuse-"));
let child: Bun.Subprocess<"pipe", "pipe", "inherit">;
let url: string;
let port: number;
let token: string;
let usual: string[];

beforeAll(async () => {
  const command = [process.execPath, program, join(folder, "home"), String(speed)];
  child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const { value } = await child.stdout.getReader().read();
  const ready = readySchema.parse(JSON.parse(new TextDecoder().decode(value)));
  token = readFileSync(ready.operatorTokenFile, "utf8").trim();
  url = ready.url;
  port = Number(new URL(url).port);
  usual = [`Host: 127.0.0.1:${port}`, `Authorization: Bearer ${token}`, "Content-Type: application/json"];
});
afterAll(async () => {
  await child.stdin.end();
  await child.exited;
  rmSync(folder, { recursive: true, force: true });
});

const target = "/api/v1/messages";
const nested = (depth: number) => `{"to":"operator","body":"x","x":${"[".repeat(depth)}${"]".repeat(depth)}}`;
const sized = (bytes: number) => JSON.stringify({ to: "operator", body: "x", x: "x".repeat(bytes) });

/** Bodies that are refused, and by which code. */
const bodies: Record<string, { body: string | Uint8Array; code: string; status: number; lines?: string[] }> =
  {
    "more than 1 MB": { body: sized(1_048_577), code: "too_large", status: 413 },
    "3 MB": { body: sized(3_000_000), code: "too_large", status: 413 },
    "33 levels": { body: nested(33), code: "bad_request", status: 400 },
    "half a million levels": { body: nested(500_000), code: "bad_request", status: 400 },
    "half of a text": { body: '{"to":"operator","bo', code: "bad_request", status: 400 },
    "no UTF-8": { body: Uint8Array.from([0x7b, 0xff, 0xfe, 0x7d]), code: "bad_request", status: 400 },
    "an array": { body: "[1]", code: "bad_request", status: 400 },
    nothing: { body: "", code: "bad_request", status: 400 },
    "a body for readers": { body: "null", code: "bad_request", status: 400 },
  };

for (const [what, { body, code, status }] of Object.entries(bodies))
  test(`[C.25] a body of ${what} is refused as ${code}`, async () => {
    const answer = await askOnce(port, postBytes(usual, body, { target }));
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ code, status });
  });

test("a body within every bound is taken by the same door", async () => {
  const good = JSON.stringify({ to: "operator", body: "x".repeat(100_000) });
  const answer = await askOnce(port, postBytes(usual, good, { target }));
  expect(answer.status).toBe(200);
});

/** Heads that are refused, by a status or by an end of the connection (0). */
const heads: Record<string, { bytes: () => string; statuses: number[] }> = {
  "200 fields": {
    bytes: () => headOf(Array.from({ length: 200 }, (_, index) => `X-${index}: 1`)),
    statuses: [431],
  },
  "100 KiB of fields": { bytes: () => headOf([`X-Long: ${"x".repeat(100_000)}`]), statuses: [431, 0] },
  "another host": { bytes: () => `GET /healthz HTTP/1.1\r\nHost: evil.test\r\n\r\n`, statuses: [403, 421] },
  "no HTTP": { bytes: () => "\u0000\u0001\u0002\r\n\r\n", statuses: [400, 0] },
};
const headOf = (lines: string[]) => ["GET /healthz HTTP/1.1", ...usual, ...lines, "", ""].join("\r\n");

for (const [what, { bytes, statuses }] of Object.entries(heads))
  test(`a head with ${what} is refused`, async () => {
    const answer = await askOnce(port, bytes(), 3_000);
    expect(statuses).toContain(answer.status);
  });

/** A connection that sends a byte now and then; how long it lived, ms, and what it was told. */
async function drip(first: string, byte: string, mostMs: number): Promise<{ ms: number; status: number }> {
  const connection = await RawConnection.open(port);
  const began = performance.now();
  const timer = setInterval(() => connection.write(byte), 300);
  const { status } = await connection.ask(first, mostMs);
  clearInterval(timer);
  connection.close();
  return { ms: performance.now() - began, status };
}

test("a body that takes its time, but comes, is taken", async () => {
  const body = JSON.stringify({ to: "operator", body: "slowly" });
  const connection = await RawConnection.open(port);
  const head = [`POST ${target} HTTP/1.1`, ...usual, `Content-Length: ${body.length}`, "", ""].join("\r\n");
  const asked = connection.ask(`${head}${body.slice(0, 5)}`);
  await Bun.sleep(bodyMs / 3);
  connection.write(body.slice(5));
  expect((await asked).status).toBe(200);
  connection.close();
});

test("[C.25] slow heads and bodies are ended in time, and keep nobody waiting", async () => {
  const head = `POST ${target} HTTP/1.1\r\n${usual.join("\r\n")}\r\n`;
  const slow = [
    ...Array.from({ length: slowOnes }, () => drip(`${head}Content-Length: 9999\r\n\r\n{`, " ", headMs)),
    ...Array.from({ length: slowOnes }, () => drip(`${head}X-Slow: `, "x", headMs)),
  ];
  const client = createClient({ url, token: () => token });
  const took: number[] = [];
  let over = false;
  const ended = Promise.all(slow).finally(() => {
    over = true;
  });
  while (!over) {
    const began = performance.now();
    await client.getStatus({});
    took.push(performance.now() - began);
    await Bun.sleep(50);
  }
  const all = await ended;
  const [bodiesEnded, headsEnded] = [all.slice(0, slowOnes), all.slice(slowOnes)];
  expect(bodiesEnded.map(({ status }) => status)).toEqual(bodiesEnded.map(() => 408));
  expect(Math.max(...bodiesEnded.map(({ ms }) => ms))).toBeLessThan(2 * bodyMs);
  expect(Math.max(...headsEnded.map(({ ms }) => ms))).toBeLessThan(headMs);
  expect(headsEnded.filter(({ status }) => status === 200)).toEqual([]);
  took.sort((a, b) => a - b);
  console.log(
    `figures ${2 * slowOnes} slow connections: bodies ended within ${Math.max(...bodiesEnded.map(({ ms }) => ms)).toFixed(0)} ms ` +
      `(relay's time ×${speed}), heads within ${Math.max(...headsEnded.map(({ ms }) => ms)).toFixed(0)} ms; ` +
      `others answered in ${took.at(-1)?.toFixed(0)} ms at most`,
  );
  expect(took[Math.floor(took.length / 2)] ?? Number.NaN).toBeLessThan(500);
}, 60_000);
