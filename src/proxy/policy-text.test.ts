/** Policy files as people write them: the line and the path of what is wrong, and the published schema. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fromJsonSchema } from "@modelcontextprotocol/server";
import { limits } from "../limits.ts";
import { PolicyError, policyLimits } from "./policy.ts";
import { parsePolicyText } from "./policy-text.ts";

const good = `{
  "$schema": "docs/policy.schema.json",
  "tools": {
    "create_issue": { "buffered": true, "key": { "argument": "requestId" } },
    "delete.all": { "shownWhen": "never" },
    "search": { "readOnly": true, "timeoutMs": 5000 }
  },
  "limits": { "writeWaitMs": 2000 }
}
`;

test("a good file is taken", () => {
  const policy = parsePolicyText(good);
  expect([...policy.tools.keys()]).toEqual(["create_issue", "delete.all", "search"]);
  expect(policy.tools.get("create_issue")?.keyPlace).toEqual({ in: "argument", name: "requestId" });
  expect(policy.limits).toEqual({ writeWaitMs: 2000 });
});

test.each<[string, string]>([
  [
    '{\n "tools": {\n  "a": {\n   "buffered": 1\n} } }',
    'line 4, $.tools["a"].buffered: is 1, wanted true or false',
  ],
  [
    '{\n "tools": {\n  "a b": { "key": "body" } } }',
    'line 3, $.tools["a b"].key: is "body", wanted "header"',
  ],
  ['{\n "tools": { "a": {} },\n "limit": {} }', "line 3, $.limit: is not known"],
  ['{\n "limits":\n { "writeWaitMs": 0 } }', "line 3, $.limits.writeWaitMs: is 0, wanted a whole number"],
  [
    '{\n "tools": { "a": { "buffered": true } } }',
    'line 2, $.tools["a"].buffered: a buffered tool needs "key"',
  ],
  ["[]", "line 1, $: is [], wanted an object"],
  ['{\n "tools": {,} }', "line 2: this is not JSON"],
  ['{\n "tools": {}\n} x', "line 3: this is not JSON"],
  ['{\n "tools": "\n', "line 2: this is not JSON"],
  ["", "line 1: this is not JSON"],
])("%j is refused with line and path", (text, words) => {
  expect(() => parsePolicyText(text)).toThrow(PolicyError);
  expect(() => parsePolicyText(text)).toThrow(words);
});

describe("docs/policy.schema.json", () => {
  const schema = JSON.parse(readFileSync(join(import.meta.dir, "../../docs/policy.schema.json"), "utf8"));
  const standard = fromJsonSchema(schema)["~standard"];
  const schemaTakes = async (json: unknown) => (await standard.validate(json)).issues === undefined;
  const parserTakes = (json: unknown) => {
    try {
      parsePolicyText(JSON.stringify(json));
      return true;
    } catch {
      return false;
    }
  };

  test.each<[unknown]>([
    [JSON.parse(good)],
    [{}],
    [{ tools: { a: { key: "header" } } }],
    [{ tools: { a: { buffered: true, key: "header" } } }],
    [{ tools: { a: { buffered: true } } }],
    [{ tools: { a: { key: "body" } } }],
    [{ tools: { a: { key: { argument: "" } } } }],
    [{ tools: { a: { key: { argument: "x", meta: "y" } } } }],
    [{ tools: { a: { shownWhen: "later" } } }],
    [{ tools: { a: { timeoutMs: 1.5 } } }],
    [{ tools: { a: { timeoutMs: 290_001 } } }],
    [{ tools: { a: { other: 1 } } }],
    [{ tools: [] }],
    [{ limits: { outboxRecordsMax: 10_001 } }],
    [{ limits: { recordAgeMaxMs: 1_000 } }],
    [{ more: true }],
    [[]],
  ])("says of %j what the parser says", async (json) => {
    expect(await schemaTakes(json)).toBe(parserTakes(json));
  });

  test("has the product's own bounds", () => {
    const bounds = schema.properties.limits.properties;
    expect(Object.keys(bounds).sort()).toEqual([...policyLimits].sort());
    for (const name of policyLimits) expect(bounds[name].maximum).toBe(limits[name]);
  });
});
