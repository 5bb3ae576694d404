/** The description of the HTTP API: valid by somebody else's rules, complete, and the one that is served. */
import { expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { openApiDocument } from "../../src/relay/openapi.ts";
import { type OperationRow, openApiPath, operationTable } from "../../src/wire/api.ts";
import { runningRelay } from "../fixtures/running-relay.ts";

type Described = {
  operationId: string;
  security: unknown[];
  requestBody?: unknown;
  parameters?: { in: string }[];
};

function described(): Map<string, Described> {
  const { paths } = openApiDocument("1.0.0") as { paths: Record<string, Record<string, Described>> };
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, row]) => [`${method.toUpperCase()} ${path}`, row] as const),
  );
  return new Map(rows);
}

test("the document is valid OpenAPI 3.1 and every reference in it leads somewhere", async () => {
  const validator = new Validator();
  const result = await validator.validate(openApiDocument("1.0.0"));
  expect(result.errors).toBeUndefined();
  expect({ valid: result.valid, version: validator.version }).toEqual({ valid: true, version: "3.1" });
  expect(validator.resolveRefs()).toBeObject();
});

test("the validator finds fault with a document that is not one", async () => {
  const broken = { ...openApiDocument("1.0.0"), paths: { "/x": { get: { responses: [] } } } };
  expect((await new Validator().validate(broken)).valid).toBe(false);
});

test("every row of the operation table is in it once, and the feed; nothing else", () => {
  const rows = described();
  const wanted = Object.entries<OperationRow>(operationTable).map(([name, row]) => [
    `${row.method} ${row.path.replaceAll(/:(\w+)/g, "{$1}")}`,
    name,
  ]);
  const found = [...rows].map(([line, { operationId }]) => [line, operationId]);
  expect(found.sort()).toEqual([...wanted, ["GET /api/v1/feed", "followFeed"]].sort());
});

test("members are where the relay reads them: path and query for GET, else path and body; security as the row says", () => {
  const rows = described();
  expect(rows.get("GET /api/v1/inboxes/{agent}")).toMatchObject({
    parameters: [
      { name: "agent", in: "path", required: true },
      { name: "afterSeq", in: "query", required: false },
      { name: "unread", in: "query" },
      { name: "limit", in: "query" },
    ],
  });
  expect(rows.get("GET /api/v1/inboxes/{agent}")?.requestBody).toBeUndefined();
  expect(rows.get("POST /api/v1/inboxes/{agent}/acknowledgements")?.requestBody).toMatchObject({
    required: true,
    content: { "application/json": { schema: { required: ["seq"], additionalProperties: false } } },
  });
  expect(rows.get("GET /api/v1/relay")?.security).toEqual([]);
  expect(rows.get("POST /api/v1/messages")).toMatchObject({ "x-agent-relay-scope": "message:send" });
});

test("a relay serves it without a token", async () => {
  await using relay = await runningRelay();
  const response = await fetch(`${relay.server.url}${openApiPath}`);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(await response.json()).toEqual(JSON.parse(JSON.stringify(openApiDocument("0.0.0"))));
});
