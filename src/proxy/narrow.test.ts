/** P3 as a property: whatever happens in whatever order, what is shown is in the last answer for this authorization. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { mapMemory, smallLimits } from "../../test/fixtures/upstreams/endpoint.ts";
import { realClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import type { ToolDefinition } from "../wire/tools.ts";
import type { Asked, Control } from "./control.ts";
import { createLists } from "./lists.ts";
import { type Context, visible } from "./narrow.ts";
import type { EndpointOptions } from "./options.ts";
import { parsePolicy } from "./policy.ts";

const policy = parsePolicy({ tools: { b: { shownWhen: "isolated-worktree" } } });
const names = fc.subarray(["a", "b", "c", "d"]);
type Step = { do: string; names?: string[]; scopes?: string[]; worktree?: Context["worktree"] };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("offer"), names }),
  fc.record({ do: fc.constant("break") }),
  fc.record({ do: fc.constant("error") }),
  fc.record({ do: fc.constant("scopes"), scopes: fc.subarray(["x", "y"]) }),
  fc.record({ do: fc.constant("scopes while asking"), scopes: fc.subarray(["x", "y"]) }),
  fc.record({ do: fc.constant("ask") }),
  fc.record({
    do: fc.constant("context"),
    worktree: fc.constantFrom<Context["worktree"]>("isolated", "none", "shared"),
  }),
);
const tool = (name: string): ToolDefinition => ({ name, inputSchema: {} });

/** What lists need of an endpoint's options; a wait for the last-known answer is short, no pause ever ends. */
function optionsWith(scopes: () => string[]): EndpointOptions {
  const options: Partial<EndpointOptions> = {
    limits: { ...smallLimits, lastKnownAnswerMs: 20 },
    clock: { ...realClock, after: (ms, callback) => (ms > 20 ? () => {} : realClock.after(ms, callback)) },
    random: seededRandom(7),
    log: silentLog,
    memory: mapMemory(),
    authorization: () => ({ relay: "r", principal: "p", profile: "d", scopes: scopes() }),
    builtin: () => [tool("built-in")],
  };
  return options as EndpointOptions;
}

test("P3: [P3.6] shown ⊆ the last answer for this authorization, or ⊆ the built-in list before any", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      let offered: Asked = { kind: "failed", cause: "down" };
      let scopes: string[] = ["x"];
      let context: Context = { worktree: "none" };
      let during = () => {};
      const answers = new Map<string, string[]>();
      const control: Control = {
        discover: async () => offered,
        async ask() {
          const [answer, key] = [offered, scopes.join()];
          during();
          during = () => {};
          await Promise.resolve();
          const tools = answer.kind === "result" ? (answer.result.tools as ToolDefinition[]) : undefined;
          // The answer is for the authorization it was asked under.
          if (tools !== undefined)
            answers.set(
              key,
              tools.map(({ name }) => name),
            );
          return answer;
        },
      };
      const lists = createLists(
        optionsWith(() => scopes),
        control,
        () => {},
      );
      const acts: Record<string, (of: Step) => unknown> = {
        offer: (of) => {
          offered = { kind: "result", result: { tools: (of.names ?? []).map(tool) } };
        },
        break: () => {
          offered = { kind: "failed", cause: "down" };
        },
        error: () => {
          offered = { kind: "error", code: -32603, message: "m", data: undefined };
        },
        scopes: (of) => {
          scopes = of.scopes ?? [];
        },
        "scopes while asking": async (of) => {
          during = () => {
            scopes = of.scopes ?? [];
          };
          await lists.ask("tools/list");
        },
        ask: async () => void (await lists.ask("tools/list")),
        context: (of) => {
          context = { worktree: of.worktree ?? "none" };
        },
      };
      for (const one of steps) {
        await acts[one.do]?.(one);
        const shown = visible(lists.tools(), context, policy).map(({ name }) => name);
        const allowed = answers.get(scopes.join()) ?? ["built-in"];
        expect(allowed).toEqual(expect.arrayContaining(shown));
        expect(context.worktree !== "isolated" && shown.includes("b")).toBe(false);
      }
      lists.close();
    }),
    { numRuns: 150 },
  );
});
