/**
 * Permissions: every scope, what it allows, and which kinds of principal may ever hold it.
 */
import { limits } from "../limits.ts";

export const principalKinds = ["operator", "host", "runner", "agent"] as const;
/** Who a token speaks for. */
export type PrincipalKind = (typeof principalKinds)[number];

type ScopeRow = { readonly allows: string; readonly holders: readonly PrincipalKind[] };

export const scopeTable = {
  "message:send": { allows: "send messages and replies as oneself", holders: ["agent", "operator"] },
  "message:read": { allows: "read one's own inbox and threads", holders: ["agent", "operator"] },
  "message:broadcast": { allows: "send to a #channel or to @all", holders: ["agent", "operator"] },
  "agent:read": { allows: "see which agents there are", holders: ["agent", "runner", "operator"] },
  "workspace:read": { allows: "see workspaces and what they depend on", holders: ["agent"] },
  "workspace:write": { allows: "claim, ready, land and release workspaces", holders: ["agent"] },
  "command:spawn": { allows: "start other agents", holders: ["agent"] },
  "command:shutdown": { allows: "stop other agents", holders: ["agent"] },
  "inbox:read": { allows: "read and acknowledge the inbox of the agent one runs", holders: ["runner"] },
  "receipt:write": { allows: "report how far a message has got at the agent one runs", holders: ["runner"] },
  "presence:write": { allows: "report what the agent one runs is doing", holders: ["runner"] },
  "insight:write": { allows: "report notable events of the agent one runs", holders: ["runner"] },
  "inbox:read-any": { allows: "read every inbox", holders: ["operator"] },
  "feed:read": { allows: "follow one's own feed", holders: ["runner", "operator"] },
  "lane:deliver": { allows: "deliver the outbox of the agent one runs", holders: ["runner"] },
  "token:mint": { allows: "mint runtime tokens of the agent one runs", holders: ["runner"] },
  "runner:enrol": { allows: "enrol a runner for an agent", holders: ["host", "operator"] },
  "token:admin": { allows: "create, list and revoke tokens", holders: ["operator"] },
  "agent:admin": { allows: "remove agents, take them over, quarantine them", holders: ["operator"] },
  "profile:admin": { allows: "change and remove profiles", holders: ["operator"] },
  "audit:read": { allows: "read the audit log", holders: ["operator"] },
  "backup:make": { allows: "make a backup of the relay's database", holders: ["operator"] },
  "metrics:read": { allows: "read the relay's metrics", holders: ["operator"] },
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

/** What of an agent's surroundings a profile may switch on or off. */
export const features = ["mcp", "skills", "statusLine", "hooks"] as const;
export type Feature = (typeof features)[number];

/** How much an agent of a profile may send. */
export type ProfileLimits = {
  /** Writes at once, and how many more there are per minute after that. */
  readonly burst: number;
  readonly perMinute: number;
  /** Recipients of one message. */
  readonly fanOutMax: number;
  /** Times that a message may be forwarded. */
  readonly hopsMax: number;
};

/** A named bundle of rights for agents. Settings of providers are not part of it: they belong to the machine. */
export type Profile = {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly features: Readonly<Record<Feature, boolean>>;
  readonly limits: ProfileLimits;
};

/** The profile of an agent that was given no other: messages and workspaces, no `command:*`. */
export const defaultProfile: Profile = {
  name: "default",
  scopes: [
    "message:send",
    "message:read",
    "message:broadcast",
    "agent:read",
    "workspace:read",
    "workspace:write",
  ],
  features: { mcp: true, skills: true, statusLine: true, hooks: true },
  limits: {
    burst: limits.writesBurst,
    perMinute: limits.writesPerMinute,
    fanOutMax: limits.fanOutMax,
    hopsMax: limits.hopsMax,
  },
};
