/**
 * What the agent may see and call: a pure function that can only remove (P3). The relay decides again anyway.
 */
import type { ShownWhen, ToolDefinition } from "../wire/tools.ts";
import type { Policy } from "./policy.ts";

/** What is known of the agent's surroundings; the launch mode is the first one. */
export type Context = { readonly worktree: "isolated" | "shared" | "none" };

/** Equal for contexts in which the same is visible. */
export function contextName({ worktree }: Context): string {
  return worktree;
}

type ShownRow = { holds(context: Context): boolean; readonly why: string };

const shownTable: Record<ShownWhen, ShownRow> = {
  always: { holds: () => true, why: "" },
  "isolated-worktree": {
    holds: (context) => context.worktree === "isolated",
    why: "it needs an isolated worktree, and this agent has none",
  },
  never: { holds: () => false, why: "the policy hides it" },
};

/** The tools among `tools` that this context allows, in their order; never one that is not in `tools`. */
export function visible(
  tools: readonly ToolDefinition[],
  context: Context,
  policy: Policy,
): readonly ToolDefinition[] {
  return tools.filter((tool) => refusal(tool.name, context, policy) === undefined);
}

/** Why a tool is not to be called in this context, or undefined when it may be. */
export function refusal(name: string, context: Context, policy: Policy): string | undefined {
  const when = policy.tools.get(name)?.shownWhen ?? "always";
  return shownTable[when].holds(context)
    ? undefined
    : `${name} is not available now: ${shownTable[when].why}`;
}
