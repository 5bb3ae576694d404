/**
 * What the wiring gives to an endpoint, and what it gets back.
 */
import type { Clock } from "../base/clock.ts";
import type { HttpClient } from "../base/http/exchange.ts";
import type { Log } from "../base/log.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import type { ToolDefinition } from "../wire/tools.ts";
import type { Outbox } from "../wire/write.ts";
import type { Context } from "./narrow.ts";
import type { Policy } from "./policy.ts";
import type { Reach } from "./reach.ts";

/** Whom the upstream's answers are for: remembered lists are keyed by all of it. */
export type Authorization = {
  readonly relay: string;
  readonly principal: string;
  readonly profile: string;
  readonly scopes: readonly string[];
};

/** Keeps small JSON values across restarts. Failing to load or save is never the agent's problem. */
export type Memory = {
  load(key: string): Promise<unknown>;
  save(key: string, value: unknown): Promise<void>;
};

export type UpstreamOptions = {
  readonly client: HttpClient;
  /** Path and query of the upstream's MCP endpoint. */
  readonly path: string;
  /** The live token, read at every request; undefined = none is needed. */
  credential(): string | undefined;
  /** Gets a new token after a 401; false when there is none to get. */
  refresh(): Promise<boolean>;
};

export type EndpointOptions = {
  /** 0 = any free port. */
  readonly port: number;
  /** What agents must present as bearer; sealing keys of sessions are derived from it. */
  readonly secret: string;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly upstream: UpstreamOptions;
  readonly outbox: Outbox | undefined;
  readonly policy: Policy;
  authorization(): Authorization;
  context(): Context;
  readonly memory: Memory;
  /** The relay's own tools cut to the recorded scopes; undefined for a foreign upstream. */
  builtin(): readonly ToolDefinition[] | undefined;
  /** Show all tools in scope and refuse at the call, for clients that ignore list changes. */
  readonly staticList: boolean;
  /** How the endpoint names itself when the upstream has never been asked. */
  readonly serverInfo: { readonly name: string; readonly version: string };
  /** The agent has seen all its messages up to this seq. */
  inboxSeen?(seq: number): void;
  /** The agent's program has asked for the tools, and gets them now. */
  toolsListed?(): void;
  onState?(state: UpstreamState): void;
};

/** What the way to the upstream needs of the options. */
export type UpstreamParts = Pick<
  EndpointOptions,
  "clock" | "limits" | "log" | "upstream" | "serverInfo" | "onState"
>;

/** What is known of the upstream. */
export type UpstreamState = {
  readonly reach: Reach;
  /** ms since 1970 */
  readonly since: number;
  readonly lastError: string | undefined;
};

export type EndpointStatus = {
  readonly url: string;
  readonly upstream: UpstreamState;
  readonly streams: number;
  readonly sessions: number;
  readonly visibleTools: readonly string[];
  readonly queued: number;
  readonly oldestQueuedAgeMs: number;
};

export type Endpoint = {
  readonly url: string;
  readonly port: number;
  status(): EndpointStatus;
  /** Token, profile or scopes may have changed. */
  authorizationChanged(): void;
  /** The agent's surroundings may have changed. */
  contextChanged(): void;
  /** The upstream says that its tools have changed, or it came back. */
  upstreamListChanged(): void;
  /** Ends every stream with what its era wants, then the server. */
  close(): Promise<void>;
};

/** The endpoint cannot listen on its port. */
export class PortTaken extends Error {
  override readonly name = "PortTaken";
  readonly port: number;
  constructor(port: number, cause: unknown) {
    super(`Cannot listen on 127.0.0.1:${port}: the port is taken`, { cause });
    this.port = port;
  }
}
