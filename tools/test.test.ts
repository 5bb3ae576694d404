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
const failsOnce = `${head}import { existsSync, writeFileSync } from "node:fs";
  test("one", () => {
    const before = existsSync("ran");
    writeFileSync("ran", "");
    expect(before).toBe(true);
  });`;
const missesImport = `${head}import "./gone.ts"; test("one", () => {});`;

const made: string[] = [];
afterEach(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** Runs the tool on a repository of these test files. */
function run(files: Record<string, string>, strict = false, folder = "src") {
  const root = mkdtempSync(join(tmpdir(), "agent-relay-tool-"));
  made.push(root);
  mkdirSync(join(root, folder), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, folder, name), text);
  const tool = join(import.meta.dir, "test.ts");
  const code = `import { main } from ${JSON.stringify(tool)};
    process.exitCode = await main({ root: ${JSON.stringify(root)}, filters: [], options: [], strict: ${strict} });`;
  const child = Bun.spawnSync([process.execPath, "-e", code], { stdout: "pipe", stderr: "pipe" });
  const out = child.stdout.toString();
  return { code: child.exitCode, last: out.trim().split("\n").at(-1), out };
}

describe("npm test", () => {
  test("passes when all tests pass", () => {
    expect(run({ "a.test.ts": passes, "b.test.ts": passes })).toMatchObject({
      code: 0,
      last: "2 passed, 0 failed",
    });
  });

  test("fails when a test fails", () => {
    expect(run({ "a.test.ts": passes, "b.test.ts": fails })).toMatchObject({
      code: 1,
      last: "1 passed, 1 failed",
    });
  });

  test("fails when there is no test", () => {
    expect(run({})).toMatchObject({ code: 1, last: "0 passed, 0 failed" });
  });

  test("fails when a file does not load", () => {
    expect(run({ "a.test.ts": passes, "b.test.ts": missesImport })).toMatchObject({
      code: 1,
      last: "1 passed, 1 failed",
    });
  });

  test("fails when a test ends the process with success, and still counts the other files", () => {
    expect(run({ "a.test.ts": passes, "b.test.ts": crashes, "c.test.ts": passes })).toMatchObject({
      code: 1,
      last: "2 passed, 1 failed",
    });
  });

  test("in CI gives a file that waits for programs a second chance, and says so", () => {
    const files = { "a.test.ts": failsOnce };
    const second = run(files, true, "test/e2e");
    expect(second).toMatchObject({ code: 0, last: "1 passed, 0 failed" });
    expect(second.out).toMatch(
      /FAILED test\/e2e\/a\.test\.ts[\s\S]*AGAIN {2}test\/e2e\/a\.test\.ts: it failed once/,
    );
    const once = { code: 1, last: "0 passed, 1 failed" };
    expect(run(files, false, "test/e2e")).toMatchObject(once);
    expect(run(files, true, "test/sim")).toMatchObject(once);
    expect(run({ "a.test.ts": fails }, true, "test/e2e")).toMatchObject(once);
  });

  test("lets a test be left out at home, not in CI", () => {
    expect(run({ "a.test.ts": leaves })).toMatchObject({ code: 0, last: "1 passed, 0 failed, 1 skipped" });
    expect(run({ "a.test.ts": leaves }, true).code).toBe(1);
  });
});
