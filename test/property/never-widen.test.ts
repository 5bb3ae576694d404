/**
 * P3 as a property: whatever changes, fails or restarts in whatever order, the agent is shown and can call only what
 * is allowed. The oracle is `allowed.ts`. Controls: without any one of the enforcement points the property is red.
 * Again with AGENT_RELAY_TEST_SEED and AGENT_RELAY_TEST_PATH, which a failure prints.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Change, changedProduct, type Product, productAt } from "./product.ts";
import { type Counts, noCounts, type Setting, World } from "./world.ts";

const seed = Number(process.env.AGENT_RELAY_TEST_SEED ?? Date.now() % 1_000_000_000);
const path = process.env.AGENT_RELAY_TEST_PATH;
const runs = 20_000;
/** A control gets so many runs to notice that something is gone. */
const controlRuns = 3_000;
const events = { minLength: 4, maxLength: 24, size: "max" } as const;
const testMs = 120_000;

/** How often each event is drawn. */
const weights: readonly (readonly [event: string, weight: number])[] = [
  ["list", 5],
  ["call", 6],
  ["new scopes", 2],
  ["the scopes before", 2],
  ["the relay takes scopes away", 1],
  ["token rotation", 1],
  ["context", 2],
  ["relay mode", 3],
  ["relay recovers", 2],
  ["relay is slow", 2],
  ["relay list change", 2],
  ["late answer", 5],
  ["time", 3],
  ["restart", 1],
  ["replay", 2],
];

const event = fc.oneof(
  ...weights.map(([name, weight]) => ({ weight, arbitrary: fc.tuple(fc.constant(name), fc.nat(31)) })),
);
const setting = fc.record<Setting>({
  kind: fc.constantFrom("relay", "relay", "foreign"),
  staticList: fc.constantFrom(false, false, true),
});

type Verdict = { told: string; violation: string };

/** Plays many worlds; the verdict tells how to play the one that failed again. */
async function play(product: Product, numRuns: number, counts: Counts): Promise<Verdict> {
  const property = fc.asyncProperty(setting, fc.array(event, events), async (chosen, played) => {
    const world = new World(product, chosen, counts);
    await world.start();
    for (const [name, which] of played) await world.play(name, which);
    await world.end();
    if (world.violations.length > 0) throw new Error(world.violations[0]);
  });
  const details = await fc.check(property, { seed, numRuns, ...(path === undefined ? {} : { path }) });
  if (!details.failed) return { told: "", violation: "" };
  const violation = String((details.errorInstance as Error | null)?.message);
  const again = `AGENT_RELAY_TEST_SEED=${details.seed} AGENT_RELAY_TEST_PATH=${details.counterexamplePath} tools/bun test test/property/never-widen.test.ts -t allowed`;
  const told = `${violation}\n${JSON.stringify(details.counterexample)}\nafter ${details.numRuns} runs; again: ${again}`;
  return { told, violation };
}

test(
  `[P3.3] [P3.4] [P3.5] [P3.6] shown and called are subsets of what is allowed (seed ${seed})`,
  async () => {
    const counts = noCounts();
    const verdict = await play(await productAt(), runs, counts);
    console.log(`seed ${seed}, ${runs} runs: ${JSON.stringify(counts)}`);
    expect(verdict.told).toBe("");
    // A world in which nothing is shown or called would be as green; one failure played again says nothing of that.
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(path === undefined ? runs / 100 : -1);
  },
  testMs,
);

type Control = { what: string; red: RegExp; change: Change };
const controls: readonly Control[] = [
  {
    what: "the list is not narrowed",
    red: /^shown /,
    change: {
      file: "proxy/requests.ts",
      from: "const { tools, fingerprint } = core.shown();",
      to: "const { fingerprint } = core.shown(), tools = core.lists.tools();",
    },
  },
  {
    what: "calls pass no gate",
    red: /^called .* not allowed/,
    change: {
      file: "proxy/calls.ts",
      from: "const closed = gateOpen(core, name) ? undefined : await gate(core, ask, name);",
      to: "const closed = undefined;",
    },
  },
  {
    what: "replayed writes are not judged",
    red: /^replayed /,
    change: { file: "store/rules.ts", from: "if (!rights.scopes.includes(scope)) {", to: "if (false) {" },
  },
  {
    what: "lists are remembered without the scopes",
    red: /^(?:visible|shown) /,
    change: {
      file: "proxy/lists.ts",
      from: "JSON.stringify([relay, principal, profile, [...scopes].sort(), method])",
      to: "JSON.stringify([relay, principal, profile, method])",
    },
  },
  {
    what: "a list may be asked for with another token than the one it is kept for",
    red: /^(?:visible|shown|called) /,
    change: { file: "proxy/lists.ts", from: "() => key === this.#keyOf(method),", to: "() => true," },
  },
  {
    what: "the built-in list is shown although the relay has answered",
    red: /^(?:visible|shown) /,
    change: {
      file: "proxy/lists.ts",
      from: "return known ?? this.#builtinTools(key) ?? noTools;",
      to: "return this.#builtinTools(key) ?? known ?? noTools;",
    },
  },
];

describe("the property is red when", () => {
  test.each([...controls])(
    "$what",
    async ({ red, change }) => {
      const { product, remove } = await changedProduct(change);
      try {
        const verdict = await play(product, controlRuns, noCounts());
        expect(verdict.violation).toMatch(red);
      } finally {
        remove();
      }
    },
    testMs,
  );
});
