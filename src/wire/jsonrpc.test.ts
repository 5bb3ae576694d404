/** What the message parser takes, what it refuses, and that it keeps an id as it was written. */
import { describe, expect, test } from "bun:test";
import { limits } from "../limits.ts";
import { errorText, parseBody, rpcCode } from "./jsonrpc.ts";

const parse = (text: string) => parseBody(new TextEncoder().encode(text), limits.jsonDepthMax);

describe("parseBody", () => {
  test.each([
    ['{"jsonrpc":"2.0","id":1,"method":"ping"}', "1"],
    ['{"jsonrpc":"2.0","id":"a\\"b","method":"ping"}', '"a\\"b"'],
    ['{"jsonrpc":"2.0","id" : 12345678901234567890 ,"method":"ping"}', "12345678901234567890"],
    ['{"method":"ping","params":{"id":9,"x":{"id":8}},"jsonrpc":"2.0","id":3}', "3"],
  ])("keeps the id of %s", (text, id) => {
    expect(parse(text)).toMatchObject({ kind: "request", method: "ping", id });
  });

  test("tells notifications and posted responses apart", () => {
    expect(parse('{"jsonrpc":"2.0","method":"notifications/initialized"}').kind).toBe("notification");
    expect(parse('{"jsonrpc":"2.0","id":4,"result":{}}')).toEqual({ kind: "response", id: "4" });
    expect(parse('{"jsonrpc":"2.0","id":4,"error":{"code":1,"message":"x"}}')).toEqual({
      kind: "response",
      id: "4",
    });
  });

  test("values that look like members do not confuse it", () => {
    const text =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"name":"y","Name":"z","text":"\\"id\\":2,{[\\\\"}}}';
    expect(parse(text)).toMatchObject({ params: { name: "x", arguments: { text: '"id":2,{[\\' } } });
  });

  test.each([
    ['{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}', "appears twice", "1"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}', "must be written", "1"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","m\\u0065thod":"b"}', "appears twice", "1"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","param\u017f":{}}', "must be written", "1"],
    ['{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}', "appears twice", undefined],
    ['{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"a","name":"b"}}', "appears twice", "1"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":[1],"NAME":"b"}}', "must be written", "1"],
    ['{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{},"_meta":{}}}', "appears twice", "1"],
    ['[{"jsonrpc":"2.0","id":1,"method":"a"}]', "Batches", undefined],
    ["3", "one JSON object", undefined],
    ['{"jsonrpc":"2.0","id":null,"method":"a"}', "whole number", undefined],
    ['{"jsonrpc":"2.0","id":1.5,"method":"a"}', "whole number", undefined],
    ['{"jsonrpc":"1.0","id":7,"method":"a"}', "jsonrpc", "7"],
    ['{"jsonrpc":"2.0","id":7,"method":"a","params":[1]}', "params", "7"],
    ['{"jsonrpc":"2.0","id":7,"method":"a","result":{}}', "both", "7"],
    ['{"jsonrpc":"2.0","id":7}', "neither", "7"],
  ])("refuses %s", (text, words, id) => {
    const fault = parse(text);
    expect(fault).toMatchObject({ kind: "fault", code: rpcCode.invalidRequest, id });
    expect(JSON.stringify(fault)).toContain(words);
  });

  test("refuses bad UTF-8, bad JSON, and nesting that serves only to exhaust", () => {
    const bad = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]);
    expect(parseBody(bad, 32)).toMatchObject({ code: rpcCode.parse, message: "The body is not valid UTF-8" });
    expect(parse('{"a"')).toMatchObject({ code: rpcCode.parse });
    expect(parse('{"unterminated')).toMatchObject({ code: rpcCode.parse });
    const deep = `{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":${"[".repeat(40)}${"]".repeat(40)}}}`;
    expect(parse(deep)).toMatchObject({
      code: rpcCode.parse,
      message: "The body nests deeper than 32 levels",
    });
  });

  test("an error body carries the id as it was written", () => {
    expect(errorText("12345678901234567890", { code: -32600, message: "x" })).toBe(
      '{"jsonrpc":"2.0","id":12345678901234567890,"error":{"code":-32600,"message":"x"}}',
    );
  });
});
