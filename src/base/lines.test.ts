/** Lines out of pieces, with a bound. */
import { describe, expect, test } from "bun:test";
import { lineSplitter, truncationMark } from "./lines.ts";

function split(chunks: string[], lineBytesMax = 100): string[] {
  const lines: string[] = [];
  const splitter = lineSplitter(lineBytesMax, (line) => lines.push(line));
  for (const chunk of chunks) splitter.push(Buffer.from(chunk, "latin1"));
  splitter.end();
  return lines;
}

describe("line splitter", () => {
  const cases: [string, string[], string[]][] = [
    ["nothing", [], []],
    ["one line", ["a\n"], ["a"]],
    ["no newline at the end", ["a\nb"], ["a", "b"]],
    ["a line in pieces", ["a", "b", "c\nd\n"], ["abc", "d"]],
    ["empty lines", ["\n\na\n"], ["", "", "a"]],
    ["carriage returns", ["a\r\nb\r", "\nc\r"], ["a", "b", "c"]],
    ["a character in two pieces", ["\xc3", "\xa9\n"], ["é"]],
    ["bytes that are not UTF-8", ["\xff\n"], ["\ufffd"]],
  ];
  test.each(cases)("%s", (_, chunks, lines) => {
    expect(split(chunks)).toEqual(lines);
  });

  test("a line of exactly the bound is whole, one byte more is cut and marked", () => {
    expect(split(["12345\n123456\n12", "3456789\nok\n"], 5)).toEqual([
      "12345",
      `12345${truncationMark}`,
      `12345${truncationMark}`,
      "ok",
    ]);
  });

  test("a buffer that is reused by its source does not change a kept line", () => {
    const lines: string[] = [];
    const splitter = lineSplitter(100, (line) => lines.push(line));
    const buffer = Buffer.from("abc");
    splitter.push(buffer);
    buffer.fill("x");
    splitter.push(Buffer.from("\n"));
    expect(lines).toEqual(["abc"]);
  });
});
