/** The proxy's own era classification is the SDK's: a table of requests, both asked, one answer. */
import { describe, expect, test } from "bun:test";
import { classifyInboundRequest, isLegacyRequest } from "@modelcontextprotocol/server";
import { parseBody } from "../wire/jsonrpc.ts";
import { classify, decodeMirror, encodeMirror, type MirrorHeaders, modernHeaderFault } from "./era.ts";

const claim = (version: unknown, extra: Record<string, unknown> = {}) => ({
  _meta: {
    "io.modelcontextprotocol/protocolVersion": version,
    "io.modelcontextprotocol/clientCapabilities": {},
    ...extra,
  },
});
const request = (method: string, params?: unknown) => ({
  jsonrpc: "2.0",
  id: 1,
  method,
  ...(params ? { params } : {}),
});
const notification = (method: string, params?: unknown) => ({
  jsonrpc: "2.0",
  method,
  ...(params ? { params } : {}),
});
const none: MirrorHeaders = { version: null, method: null, name: null };
const modern = "2026-07-28";

const rows: [string, unknown, Partial<MirrorHeaders>][] = [
  ["legacy initialize", request("initialize", { protocolVersion: "2025-11-25" }), {}],
  ["legacy initialize with its header", request("initialize", {}), { version: "2025-11-25" }],
  ["initialize with a modern header", request("initialize", {}), { version: modern }],
  ["initialize with a modern claim", request("initialize", claim(modern)), { version: modern }],
  ["initialize with an old claim", request("initialize", claim("2025-11-25")), {}],
  [
    "initialize with a broken claim",
    request("initialize", { _meta: { "io.modelcontextprotocol/protocolVersion": modern } }),
    {},
  ],
  ["discover", request("server/discover", claim(modern)), { version: modern, method: "server/discover" }],
  ["discover without a claim", request("server/discover"), {}],
  ["a claim without headers", request("tools/list", claim(modern)), {}],
  ["a claim of the future", request("tools/list", claim("2027-01-01")), {}],
  ["a claim of the past", request("tools/list", claim("2025-06-18")), {}],
  ["a version that is no text", request("tools/list", claim(7)), {}],
  [
    "no capabilities",
    request("tools/list", { _meta: { "io.modelcontextprotocol/protocolVersion": modern } }),
    {},
  ],
  [
    "capabilities that are no object",
    request("tools/list", claim(modern, { "io.modelcontextprotocol/clientCapabilities": 3 })),
    {},
  ],
  [
    "client info without a version",
    request("tools/list", claim(modern, { "io.modelcontextprotocol/clientInfo": { name: "x" } })),
    {},
  ],
  [
    "a log level that is none",
    request("tools/list", claim(modern, { "io.modelcontextprotocol/logLevel": "loud" })),
    {},
  ],
  ["version header against body", request("tools/list", claim(modern)), { version: "2025-11-25" }],
  [
    "method header against body",
    request("tools/list", claim(modern)),
    { version: modern, method: "tools/call" },
  ],
  ["modern header, no claim", request("tools/list"), { version: modern }],
  ["modern header, empty meta", request("tools/list", { _meta: {} }), { version: modern }],
  ["legacy header, no claim", request("tools/list"), { version: "2025-06-18" }],
  ["no header, no claim", request("tools/list"), {}],
  ["legacy notification", notification("notifications/initialized"), {}],
  ["modern notification by header", notification("notifications/cancelled"), { version: modern }],
  [
    "modern notification by header, wrong method",
    notification("notifications/cancelled"),
    { version: modern, method: "x" },
  ],
  ["modern notification by claim", notification("notifications/cancelled", claim(modern)), {}],
  ["notification with an old claim", notification("notifications/cancelled", claim("2025-11-25")), {}],
  ["notification with a claim that is no text", notification("notifications/cancelled", claim(1)), {}],
  [
    "notification, header against claim",
    notification("notifications/cancelled", claim(modern)),
    { version: "2025-11-25" },
  ],
  ["posted result", { jsonrpc: "2.0", id: 1, result: {} }, {}],
  ["posted error", { jsonrpc: "2.0", id: 1, error: { code: 1, message: "x" } }, { version: modern }],
];

describe("classify", () => {
  test.each(rows)("is the SDK's: %s", async (_name, body, given) => {
    const headers = { ...none, ...given };
    const message = parseBody(new TextEncoder().encode(JSON.stringify(body)), 32);
    if (message.kind === "fault") throw new Error(message.message);
    const theirs = classifyInboundRequest({
      httpMethod: "POST",
      body,
      ...(headers.version === null ? {} : { protocolVersionHeader: headers.version }),
      ...(headers.method === null ? {} : { mcpMethodHeader: headers.method }),
    });
    const ours = classify(message, headers);
    const code = (verdict: unknown) => (verdict as { code?: number }).code;
    expect({ kind: ours.kind, code: code(ours) }).toEqual({ kind: theirs.kind, code: code(theirs) });

    const http = new Request("http://127.0.0.1/mcp", {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(headers.version === null ? {} : { "mcp-protocol-version": headers.version }),
        ...(headers.method === null ? {} : { "mcp-method": headers.method }),
      },
      body: JSON.stringify(body),
    });
    expect(ours.kind === "legacy").toBe(await isLegacyRequest(http));
  });
});

describe("modernHeaderFault", () => {
  const call = {
    kind: "request",
    id: "1",
    method: "tools/call",
    params: { name: "grüß", ...claim(modern) },
  } as const;
  const good: MirrorHeaders = { version: modern, method: "tools/call", name: encodeMirror("grüß") };
  test.each<[string, Partial<MirrorHeaders>, number | undefined]>([
    ["all there", {}, undefined],
    ["no version", { version: null }, -32020],
    ["no method", { method: null }, -32020],
    ["no name", { name: null }, -32020],
    ["other name", { name: "other" }, -32020],
    ["name in broken base64", { name: "=?base64?####?=" }, -32020],
  ])("%s", (_name, given, code) => {
    expect(modernHeaderFault(call, { ...good, ...given })?.code).toBe(code as number);
  });
  test("a version we do not speak is answered with those we do", () => {
    const future = { ...call, params: { name: "x", ...claim("2027-01-01") } };
    expect(modernHeaderFault(future, { ...good, version: "2027-01-01" })).toMatchObject({
      code: -32022,
      data: { supported: ["2026-07-28"], requested: "2027-01-01" },
    });
  });
  test.each(["plain", "grüß", " edge ", "=?base64?x?="])("a mirrored %s comes back", (name) => {
    expect(decodeMirror(encodeMirror(name))).toBe(name);
  });
});
