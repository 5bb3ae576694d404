/**
 * What `parseBody` accepts means the same to every parser: 20,000 documents against `JSON.parse` and against readers
 * that choose otherwise among duplicates. Again with AGENT_RELAY_TEST_SEED.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { seededRandom } from "../../src/base/random.ts";
import { limits } from "../../src/limits.ts";
import { errorText, isObject, parseBody, type RpcFault, type RpcMessage } from "../../src/wire/jsonrpc.ts";
import { nextHostile } from "../hostile/bodies.ts";
import { decisionOf, type Reading, readings } from "../hostile/members.ts";
import { changedProduct } from "./product.ts";

const seed = Number(process.env.AGENT_RELAY_TEST_SEED ?? Date.now() % 1_000_000_000);
const documents = 10_000;
const readingNames = Object.keys(readings) as Reading[];
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const testMs = 60_000;

/** What is wrong with how these bytes were understood; undefined when nothing is. */
function misunderstood(bytes: Uint8Array, message: RpcMessage | RpcFault): string | undefined {
  if (message.kind === "fault") return message.id === undefined ? undefined : wrongId(bytes, message.id);
  const text = utf8.decode(bytes);
  const value: unknown = JSON.parse(text);
  if (!isObject(value) || value.jsonrpc !== "2.0") return "it is no message";
  const decisions = new Set(readingNames.map((reading) => JSON.stringify(decisionOf(text, reading))));
  if (decisions.size !== 1) return "it has several readings";
  if (message.kind !== "notification") {
    const wrong = wrongId(bytes, message.id);
    if (wrong !== undefined) return wrong;
  } else if ("id" in value) return "a notification with an id";
  if (message.kind === "response")
    return "method" in value && typeof value.method === "string" ? "it has a method" : undefined;
  if (message.method !== value.method) return "another method";
  return Bun.deepEquals(message.params, value.params ?? {}, true) ? undefined : "other params";
}

/** An id that is given back must be the one that came, as it was written. */
function wrongId(bytes: Uint8Array, id: string): string | undefined {
  const text = utf8.decode(bytes);
  const value = JSON.parse(text) as { id?: unknown };
  if (!text.includes(id)) return `the id ${id} does not stand there`;
  const answer = JSON.parse(errorText(id, { code: 1, message: "m" })) as { id: unknown };
  return Object.is(answer.id, value.id) ? undefined : `the id ${id} is another`;
}

type Tally = Record<string, number>;

function judge(bytes: Uint8Array, tally: Tally, parse = parseBody): string | undefined {
  const message = parse(bytes, limits.jsonDepthMax);
  tally[message.kind] = (tally[message.kind] ?? 0) + 1;
  const wrong = misunderstood(bytes, message);
  return wrong === undefined ? undefined : `${wrong}: ${Buffer.from(bytes).toString("latin1").slice(0, 300)}`;
}

test(
  `hostile requests are understood as every parser does, or refused (seed ${seed})`,
  () => {
    const random = seededRandom(seed);
    const tally: Tally = {};
    const faults = Array.from({ length: documents }, () => judge(nextHostile(random).bytes, tally));
    console.log(`seed ${seed}: ${JSON.stringify(tally)}`);
    expect(faults.filter((fault) => fault !== undefined).slice(0, 5)).toEqual([]);
    expect(tally.request).toBeGreaterThan(documents / 10);
    expect(tally.fault).toBeGreaterThan(documents / 10);
  },
  testMs,
);

const name = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("id", "method", "params", "result", "error", "name") },
  { weight: 1, arbitrary: fc.constantFrom("Id", "METHOD", "param\u017f", "i\\u0064", "\\u006eame") },
  {
    weight: 1,
    arbitrary: fc.string({ unit: "binary", maxLength: 4 }).map((text) => JSON.stringify(text).slice(1, -1)),
  },
);
const value = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.constantFrom(
    "1",
    "-0",
    "1e3",
    "1.5",
    '"a"',
    '"tools/call"',
    '{"name":"a"}',
    '{"name":"a","name":"b"}',
    "null",
  ),
  fc.bigInt().map(String),
  fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
);
const gap = fc.constantFrom("", "", " ", "\n", "\t\r\n");
const member = fc.tuple(name, value);
const skeleton = fc.subarray<[string, string]>([
  ["id", "1"],
  ["method", '"tools/call"'],
  ["params", '{"name":"a"}'],
]);
const written = fc.tuple(skeleton, fc.array(member, { maxLength: 3 }), gap).map(([usual, more, space]) => {
  const all = [["jsonrpc", '"2.0"'], ...usual, ...more];
  return `{${all.map(([own, text]) => `${space}"${own}"${space}:${space}${text}`).join(",")}${space}}`;
});

test(
  `any document is understood as every parser does, or refused (seed ${seed})`,
  () => {
    const tally: Tally = {};
    const document = fc.oneof({ weight: 4, arbitrary: written }, fc.json());
    const property = fc.property(document, (text) => judge(Buffer.from(text), tally) === undefined);
    const { counterexample } = fc.check(property, { seed, numRuns: documents });
    const faults = (counterexample ?? []).map((text) => judge(Buffer.from(text), {}));
    console.log(`seed ${seed}: ${JSON.stringify(tally)}`);
    expect(faults).toEqual([]);
    expect(tally.request).toBeGreaterThan(documents / 100);
    expect(tally.notification).toBeGreaterThan(documents / 100);
    expect(tally.response).toBeGreaterThan(documents / 100);
  },
  testMs,
);

test(
  "the test is red when duplicates are let through",
  async () => {
    const change = {
      file: "wire/jsonrpc.ts",
      from: "if (members.refused !== undefined) return",
      to: "if (false) return",
    };
    const { product, remove } = await changedProduct(change);
    try {
      const random = seededRandom(seed);
      const { parseBody: parse } = product.jsonrpc;
      const faults = Array.from({ length: documents }, () => judge(nextHostile(random).bytes, {}, parse));
      expect(faults).toContainEqual(expect.stringContaining("several readings"));
    } finally {
      remove();
    }
  },
  testMs,
);
