/**
 * Permissions: every scope, what it allows, and which kinds of principal may ever hold it.
 */

export const principalKinds = ["operator", "host", "runner", "agent"] as const;
/** Who a token speaks for. */
export type PrincipalKind = (typeof principalKinds)[number];

type ScopeRow = { readonly allows: string; readonly holders: readonly PrincipalKind[] };

export const scopeTable = {
  "message:send": { allows: "send messages and replies as oneself", holders: ["agent", "operator"] },
  "message:read": { allows: "read one's own inbox and threads", holders: ["agent", "operator"] },
  "agent:read": { allows: "see which agents there are", holders: ["agent", "runner", "operator"] },
  "inbox:read": { allows: "read and acknowledge the inbox of the agent one runs", holders: ["runner"] },
  "inbox:read-any": { allows: "read every inbox", holders: ["operator"] },
  "feed:read": { allows: "follow one's own feed", holders: ["runner", "operator"] },
  "lane:deliver": { allows: "deliver the outbox of the agent one runs", holders: ["runner"] },
  "token:mint": { allows: "mint runtime tokens of the agent one runs", holders: ["runner"] },
  "runner:enrol": { allows: "enrol a runner for an agent", holders: ["host", "operator"] },
  "token:admin": { allows: "create, list and revoke tokens", holders: ["operator"] },
} as const satisfies Record<string, ScopeRow>;

/** One permission. */
export type Scope = keyof typeof scopeTable;

/** All scopes, in table order. */
export const scopes = Object.keys(scopeTable) as Scope[];

/** True when the text names a scope. */
export function isScope(text: string): text is Scope {
  return Object.hasOwn(scopeTable, text);
}

/** Every scope that a principal of this kind may hold. */
export function scopesOf(kind: PrincipalKind): Scope[] {
  return scopes.filter((scope) => (scopeTable[scope].holders as readonly PrincipalKind[]).includes(kind));
}

/** A named bundle of scopes for agents; relay features and provider settings join it with the runner. */
export type Profile = { readonly name: string; readonly scopes: readonly Scope[] };

/** The profile of an agent that was given no other: everything about messages, no `command:*`. */
export const defaultProfile: Profile = {
  name: "default",
  scopes: ["message:send", "message:read", "agent:read"],
};
