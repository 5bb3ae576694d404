/**
 * Requests as broken and clever clients send them, made from the product's own schemas so that most come past the
 * first check: valid ones, valid ones with one thing wrong, and texts that are no JSON at all.
 */
import fc from "fast-check";
import { z } from "zod";
import { type OperationRow, operationTable } from "../../src/wire/api.ts";
import { toolTable } from "../../src/wire/tools.ts";

/** One request to send. */
export type HostileRequest = {
  /** The operation or the tool that it is about. */
  about: string;
  method: string;
  target: string;
  type: string;
  /** Header lines beyond the usual ones. */
  lines: readonly string[];
  body: Buffer;
  /** What was done to it. */
  how: string;
};

/** Things that exist at the relay, so that requests meet them. */
export type Known = { names: readonly string[]; ids: readonly string[] };

type Json = Record<string, unknown>;

const texts = [
  ...[
    "",
    " ",
    "\u0000",
    "\uffff",
    "\ud800",
    "'; DROP TABLE agents; --",
    "../../etc/passwd",
    "%00",
    "{{7*7}}",
  ],
  ...[
    "__proto__",
    "constructor",
    "\u202eabc",
    "é".repeat(70),
    "x".repeat(300),
    "-1",
    "1e400",
    "null",
    "#",
    "@all",
  ],
];
const numbers = [-1, 0, 1, 0.5, 199, 201, 2 ** 31, 2 ** 53, 1e308, -0];

/** Values that a schema of one member lets through, and some at its edges. */
function madeFrom(schema: Json, known: Known): fc.Arbitrary<unknown> {
  const options = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(options)) return fc.oneof(...options.map((one: Json) => madeFrom(one, known)));
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum);
  if (schema.const !== undefined) return fc.constant(schema.const);
  switch (schema.type) {
    case "object":
      return objectOf(schema, known);
    case "array":
      return fc.array(madeFrom((schema.items ?? {}) as Json, known), { minLength: 1, maxLength: 3 });
    case "boolean":
      return fc.boolean();
    case "integer":
    case "number":
      return fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 1, max: 100 }) },
        fc.constantFrom(...numbers),
      );
    default:
      return textOf(schema, known);
  }
}

function textOf(schema: Json, { names, ids }: Known): fc.Arbitrary<string> {
  const fresh = fc.uuid({ version: 7 });
  if (schema.format === "uuid") return fc.oneof(fresh, fc.constantFrom(...ids));
  if (schema.format === "date-time")
    return fc.constantFrom("2026-01-01T00:00:00.000Z", new Date().toISOString());
  if (String(schema.pattern).includes("{64}")) return fresh.map((id) => Bun.SHA256.hash(id, "hex"));
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...names) },
    { weight: 1, arbitrary: fc.constantFrom(...texts) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 30 }) },
  );
}

function objectOf(schema: Json, known: Known): fc.Arbitrary<Json> {
  const properties = (schema.properties ?? {}) as Record<string, Json>;
  const members = Object.entries(properties).map(
    ([name, member]) => [name, madeFrom(member, known)] as const,
  );
  const required = (schema.required ?? []) as string[];
  return fc.record(Object.fromEntries(members), { requiredKeys: required, noNullPrototype: true });
}

type Harm = { how: string; of: (valid: Json) => fc.Arbitrary<string | Uint8Array> };

/** One member taken away, changed, or added. */
const harms: readonly Harm[] = [
  { how: "nothing", of: (valid) => fc.constant(JSON.stringify(valid)) },
  { how: "nothing", of: (valid) => fc.constant(JSON.stringify(valid)) },
  {
    how: "a member less",
    of: (valid) =>
      fc
        .constantFrom("", ...Object.keys(valid))
        .map((name) => JSON.stringify({ ...valid, [name]: undefined })),
  },
  {
    how: "another value",
    of: (valid) =>
      fc
        .tuple(fc.constantFrom("", ...Object.keys(valid)), fc.jsonValue({ maxDepth: 2 }))
        .map(([name, value]) => JSON.stringify({ ...valid, [name]: value })),
  },
  {
    how: "one member more",
    of: (valid) =>
      fc
        .tuple(fc.constantFrom(...texts), fc.jsonValue({ maxDepth: 1 }))
        .map(([name, value]) => JSON.stringify({ ...valid, [name]: value })),
  },
  {
    how: "__proto__",
    of: (valid) =>
      fc.constant(`${JSON.stringify(valid).slice(0, -1)},"__proto__":{"scopes":["token:admin"]}}`),
  },
  { how: "no object", of: () => fc.json({ maxDepth: 2 }) },
  { how: "cut", of: (valid) => fc.nat(30).map((count) => JSON.stringify(valid).slice(0, -1 - count)) },
  { how: "bytes", of: () => fc.uint8Array({ maxLength: 60 }) },
  {
    how: "deep",
    of: (valid) =>
      fc
        .constantFrom(30, 33, 2_000, 100_000)
        .map(
          (depth) => `${JSON.stringify(valid).slice(0, -1)},"x":${"[".repeat(depth)}${"]".repeat(depth)}}`,
        ),
  },
];
const large: Harm = {
  how: "large",
  of: (valid) =>
    fc
      .constantFrom(200_000, 1_040_000, 1_060_000)
      .map((size) => JSON.stringify({ ...valid, x: "x".repeat(size) })),
};
const types = ["application/json", "application/json; charset=utf-8"];
const wrongTypes = ["text/plain", "application/x-www-form-urlencoded", ""];

function harmed(valid: fc.Arbitrary<Json>): fc.Arbitrary<{ body: Buffer; how: string; type: string }> {
  const harm = fc.oneof(
    { weight: 400, arbitrary: fc.constantFrom(...harms) },
    { weight: 1, arbitrary: fc.constant(large) },
  );
  const type = fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom(...types) },
    { weight: 1, arbitrary: fc.constantFrom(...wrongTypes) },
  );
  return fc
    .tuple(valid, harm, type)
    .chain(([given, { how, of }, as]) =>
      of(given).map((text) => ({ body: Buffer.from(text as string), how, type: as })),
    );
}

function operationRequests(name: string, row: OperationRow, known: Known): fc.Arbitrary<HostileRequest> {
  const schema = z.toJSONSchema(row.request, { io: "input", unrepresentable: "any" }) as Json;
  const inPath = [...row.path.matchAll(/:(\w+)/g)].map(([, member = ""]) => member);
  const isGet = row.method === "GET";
  return objectOf(schema, known).chain((valid) => {
    const rest = Object.fromEntries(Object.entries(valid).filter(([member]) => !inPath.includes(member)));
    const path = row.path.replace(/:(\w+)/g, (_, member: string) => encoded(String(valid[member])));
    return harmed(fc.constant(rest)).map(({ body, how, type }) => ({
      ...{ about: name, method: row.method, how, type, lines: [] },
      target: isGet ? `${path}?${queryOf(rest, how, body)}` : path,
      body: isGet ? Buffer.alloc(0) : body,
    }));
  });
}

/** The members as a query, or what was made of them as its text. */
function queryOf(members: Json, how: string, body: Buffer): string {
  if (how !== "nothing") return encoded(body.toString("latin1").slice(0, 500));
  return new URLSearchParams(
    Object.entries(members).map(([name, value]) => [name, String(value)]),
  ).toString();
}

/** Percent-encoded; half a surrogate pair has no encoding. */
function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed()) || "%20";
}

const envelope = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

/** Calls of one tool, in the era of the given protocol version. */
function toolRequests(
  name: keyof typeof toolTable,
  known: Known,
  modern: boolean,
): fc.Arbitrary<HostileRequest> {
  const schema = z.toJSONSchema(toolTable[name].input, { io: "input", unrepresentable: "any" }) as Json;
  const given = fc.oneof(
    { weight: 5, arbitrary: objectOf(schema, known) as fc.Arbitrary<unknown> },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  );
  const call = fc.tuple(given, fc.constantFrom(1, "one", 0, -1)).map(([args, id]): Json => {
    const params = { name, arguments: args, ...(modern ? { _meta: envelope } : {}) };
    return { jsonrpc: "2.0", id, method: "tools/call", params };
  });
  const lines = modern
    ? ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", `Mcp-Name: ${name}`]
    : ["MCP-Protocol-Version: 2025-11-25"];
  return harmed(call).map((rest) => ({ ...rest, about: name, method: "POST", target: "/api/mcp", lines }));
}

/** Requests for every operation and every tool. @param seldom operations that cost much when they are valid */
export function hostileRequests(known: Known, seldom: readonly string[]): fc.Arbitrary<HostileRequest> {
  const operations = Object.entries(operationTable).map(([name, row]) => ({
    weight: seldom.includes(name) ? 1 : 20,
    arbitrary: operationRequests(name, row, known),
  }));
  const names = Object.keys(toolTable) as (keyof typeof toolTable)[];
  const tools = [true, false].flatMap((modern) =>
    names.map((name) => ({ weight: 8, arbitrary: toolRequests(name, known, modern) })),
  );
  return fc.oneof(...operations, ...tools);
}
