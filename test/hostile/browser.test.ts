/**
 * A real browser on a page of another origin, with the right secret in its hands, against the endpoint: nothing may
 * reach the upstream. The control plays the same page against a server without guards, where it must succeed.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needs } from "../needs.ts";
import { attackPage, attempts } from "./attack-page.ts";
import { startVictim, type Victim } from "./victim.ts";

const call = JSON.stringify({
  jsonrpc: "2.0",
  id: 7,
  method: "tools/call",
  params: { name: "alpha", arguments: {} },
});
const testMs = 60_000;

type Result = { target: string; name: string; result: string };

let victim: Victim;
beforeAll(async () => {
  victim = await startVictim();
});
afterAll(() => victim[Symbol.asyncDispose]());

/** Opens the page in a browser of its own and waits for what it has to say. */
async function visit(targets: readonly string[], names: readonly string[]): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-browser-"));
  const { promise, resolve, reject } = Promise.withResolvers<Result[]>();
  const page = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      if (new URL(request.url).pathname !== "/done")
        return new Response(attackPage(targets, victim.secret, call), {
          headers: { "Content-Type": "text/html" },
        });
      resolve((await request.json()) as Result[]);
      return new Response("thank you");
    },
  });
  const rules = names.map((name) => `MAP ${name} 127.0.0.1`).join(",");
  const switches = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
  ];
  switches.push("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage");
  switches.push(`--user-data-dir=${folder}`, `--host-resolver-rules=${rules}`, "--remote-debugging-port=0");
  const browser = Bun.spawn(["chromium", ...switches, `http://attacker.example:${page.port}/`], {
    stdio: ["ignore", "ignore", "ignore"],
    env: { ...process.env, HOME: folder },
  });
  const timer = setTimeout(() => reject(new Error("The page said nothing in time")), testMs - 10_000);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    browser.kill();
    await browser.exited;
    await page.stop(true);
    rmSync(folder, { recursive: true, force: true });
  }
}

needs("chromium")(
  "[P4.5] a page of another origin reaches no handler, even with the right secret",
  async () => {
    const rebound = victim.url.replace("127.0.0.1", "rebound.example");
    const targets = [victim.url, rebound];
    const before = victim.upstream.calls;
    const results = await visit(targets, ["attacker.example", "rebound.example"]);
    console.log(results.map(({ target, name, result }) => `${target} ${name}: ${result}`).join("\n"));
    expect(results.map(({ target, name }) => `${target} ${name}`)).toEqual(
      targets.flatMap((target) => attempts.map((name) => `${target} ${name}`)),
    );
    // An opaque answer shows that the request was really made; what a page can read of an answer must be nothing.
    const opaque = results
      .filter(({ name }) => name === "fetch, simple POST, no-cors")
      .map(({ result }) => result.trim());
    expect(opaque).toEqual(["opaque 0", "opaque 0"]);
    expect(results.filter(({ result }) => /^(?:open|answered|cors|basic|default)/.test(result))).toEqual([]);
    expect(victim.upstream.calls).toBe(before);
  },
  testMs,
);

needs("chromium")(
  "the same page reaches a server without guards",
  async () => {
    const before = victim.upstream.calls;
    await visit([`${victim.upstream.origin}/mcp`], ["attacker.example"]);
    expect(victim.upstream.calls - before).toBeGreaterThanOrEqual(4);
  },
  testMs,
);
