/** The readings differ exactly where parsers differ: otherwise the fuzz test would see nothing. */
import { expect, test } from "bun:test";
import { decisionOf, type Reading, readings } from "./members.ts";

const names = Object.keys(readings) as Reading[];
const read = (text: string) => new Set(names.map((one) => JSON.stringify(decisionOf(text, one)))).size;

test.each([
  ['{"id":1,"method":"a","params":{"name":"x"}}', 1],
  ['{"id":1,"method":"a","method":"b"}', 2],
  ['{"id":1,"method":"a","\\u006dethod":"b"}', 2],
  ['{"id":1,"method":"a","Method":"b"}', 2],
  ['{"id":1,"method":"a","params":{"name":"x","NAME":"y"}}', 2],
  ['{"id":1,"method":"a","params":{"name":"x"},"params":{"name":"y"}}', 2],
  ['{"id":1,"ID":1.0,"method":"a"}', 2],
  ['{"x":[{"method":"b"},"}",-1e-9,null],"id":1,"method":"a"}', 1],
])("%s has %d readings", (text, count) => {
  expect(read(text)).toBe(count);
});
