/** What becomes of a test whose needs are not met. */
import { describe, expect, test } from "bun:test";
import { missing, needs, verdict } from "./needs.ts";

const bare = { which: () => null };
const full = { which: (program: string) => `/usr/bin/${program}` };

describe("needs", () => {
  test("nothing is missing where everything is", () => {
    expect(missing(["nginx", "ps"], full)).toEqual([]);
    expect(verdict(["nginx"], { ...full, strict: true })).toEqual({ act: "run" });
  });

  test("every missing program is named", () => {
    expect(missing(["nginx", "ps"], bare)).toEqual([
      "the program nginx is not installed",
      "the program ps is not installed",
    ]);
  });

  test("a missing program leaves a test out at home and fails it in CI", () => {
    const why = "the program nginx is not installed";
    expect(verdict(["nginx"], { ...bare, strict: false })).toEqual({ act: "leave-out", why });
    expect(verdict(["nginx"], { ...bare, strict: true })).toEqual({ act: "fail", why });
  });
});

needs("sh")("a test whose needs are met runs", () => {
  expect(Bun.which("sh")).toBeString();
});
