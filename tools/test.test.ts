/** `npm test` on small repositories: the last line is true whatever the tests do to their process. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const head = 'import { expect, test } from "bun:test";\n';
const passes = `${head}test("one", () => { expect(1).toBe(1); });`;
const fails = `${head}test("one", () => { expect(1).toBe(2); });`;
const leaves = `${head}test("one", () => {}); test.${"skip"}("two", () => {});`;
const crashes = `${head}test("one", () => { process.exit(0); });`;
const missesImport = `${head}import "./gone.ts"; test("one", () => {});`;

const made: string[] = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Runs the tool on a repository of these test files. */
function run(files: Record<string, string>, strict = false) {
  const root = mkdtempSync(join(tmpdir(), "agent-relay-tool-"));
  made.push(root);
  mkdirSync(join(root, "src"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, "src", name), text);
  const tool = join(import.meta.dir, "test.ts");
  const code = `import { main } from ${JSON.stringify(tool)};
    process.exitCode = await main({ root: ${JSON.stringify(root)}, filters: [], options: [] }, ${strict});`;
  const child = Bun.spawnSync([process.execPath, "-e", code], { stdout: "pipe", stderr: "pipe" });
  return { code: child.exitCode, last: child.stdout.toString().trim().split("\n").at(-1) };
}

describe("npm test", () => {
  test("passes when all tests pass", () => {
    expect(run({ "a.test.ts": passes, "b.test.ts": passes })).toEqual({
      code: 0,
      last: "2 passed, 0 failed",
    });
  });

  test("fails when a test fails", () => {
    expect(run({ "a.test.ts": passes, "b.test.ts": fails })).toEqual({ code: 1, last: "1 passed, 1 failed" });
  });

  test("fails when there is no test", () => {
    expect(run({})).toEqual({ code: 1, last: "0 passed, 0 failed" });
  });

  test("fails when a file does not load", () => {
    expect(run({ "a.test.ts": passes, "b.test.ts": missesImport })).toEqual({
      code: 1,
      last: "1 passed, 1 failed",
    });
  });

  test("fails when a test ends the process with success, and still counts the other files", () => {
    expect(run({ "a.test.ts": passes, "b.test.ts": crashes, "c.test.ts": passes })).toEqual({
      code: 1,
      last: "2 passed, 1 failed",
    });
  });

  test("lets a test be left out at home, not in CI", () => {
    expect(run({ "a.test.ts": leaves })).toEqual({ code: 0, last: "1 passed, 0 failed, 1 skipped" });
    expect(run({ "a.test.ts": leaves }, true).code).toBe(1);
  });
});
