/**
 * What an agent may see and call at this moment, kept by the promise's own words and by nothing of the product: the
 * relay's last answer for this authorization, before any the built-in tools cut to the recorded scopes, then cut to
 * the context.
 */

export type Worktree = "isolated" | "shared" | "none";

/** A tool of the world: who may have it, where it makes sense, whether the product knows it without the relay. */
export type ToolFact = {
  readonly scope: string;
  readonly isolatedOnly: boolean;
  readonly buffered: boolean;
  readonly builtin: boolean;
};

export const scopeNames = ["message:send", "message:read", "workspace", "command"] as const;

export const toolFacts: Readonly<Record<string, ToolFact>> = {
  relay_send_message: { scope: "message:send", isolatedOnly: false, buffered: true, builtin: true },
  relay_reply: { scope: "message:send", isolatedOnly: false, buffered: true, builtin: true },
  relay_check_messages: { scope: "message:read", isolatedOnly: false, buffered: false, builtin: true },
  workspace_status: { scope: "workspace", isolatedOnly: true, buffered: false, builtin: true },
  workspace_ready: { scope: "workspace", isolatedOnly: true, buffered: true, builtin: true },
  spawn_agent: { scope: "command", isolatedOnly: false, buffered: false, builtin: true },
  extra_tool: { scope: "message:read", isolatedOnly: false, buffered: false, builtin: false },
};

export const toolNames = Object.keys(toolFacts);

/** Scopes of one authorization as one text; the order they are written in means nothing. */
export function authorizationName(profile: string, scopes: readonly string[]): string {
  return `${profile}|${[...scopes].sort().join(",")}`;
}

/** The oracle. */
export class Allowed {
  /** The relay's last complete answer by authorization. An empty list is an answer like any other. */
  readonly #answers = new Map<string, ReadonlySet<string>>();
  authorization = { profile: "default", scopes: [] as readonly string[] };
  worktree: Worktree = "none";
  /** The list is not cut to the context; calls are. */
  readonly staticList: boolean;
  /** The product has a built-in list. */
  readonly builtin: boolean;
  /** Called after every answer: two of them may come within one moment, and a decision may fall between them. */
  answerSeen: () => void = () => {};

  constructor(staticList: boolean, builtin: boolean) {
    this.staticList = staticList;
    this.builtin = builtin;
  }

  /** The relay gave this complete list to a holder of this authorization. */
  answered(profile: string, scopes: readonly string[], names: readonly string[]): void {
    this.#answers.set(authorizationName(profile, scopes), new Set(names));
    this.answerSeen();
  }

  /** What the agent may be shown now. */
  shown(): ReadonlySet<string> {
    return this.staticList ? this.#granted() : this.callable();
  }

  /** What the agent may call now. */
  callable(): ReadonlySet<string> {
    const granted = this.#granted();
    return new Set(
      [...granted].filter((name) => {
        const fact = toolFacts[name];
        return fact === undefined || !fact.isolatedOnly || this.worktree === "isolated";
      }),
    );
  }

  #granted(): ReadonlySet<string> {
    const { profile, scopes } = this.authorization;
    const answer = this.#answers.get(authorizationName(profile, scopes));
    if (answer !== undefined) return answer;
    if (!this.builtin) return new Set();
    return new Set(
      toolNames.filter((name) => {
        const fact = toolFacts[name];
        return fact?.builtin === true && scopes.includes(fact.scope);
      }),
    );
  }
}
