/**
 * What a provider is started from and with: plain data. A secret is only ever in the environment, never in the command,
 * which every user of the machine can read.
 */

export const providerNames = ["claude", "codex", "exec"] as const;
export type ProviderName = (typeof providerNames)[number];

/** The MCP server's name in every provider: tools are shown to the model under it. */
export const mcpServerName = "agent-relay";

/** What the profile lets this product add to the provider. A feature that a provider lacks is left out. */
export type RelayFeatures = { mcp: boolean; skills: boolean; statusLine: boolean; hooks: boolean };

/** `terminal`: a person sits at it. `headless`: nobody does, all input comes from the runner. */
export type LaunchMode = "terminal" | "headless";

/** The provider's own conversation; `resume` when it exists already and is to go on. */
export type Conversation = { id: string; resume: boolean };

/** Settings for a provider from the machine's own configuration, by profile name; never from the relay. */
export type ProviderSettings = {
  /** Another program than the one on PATH: a name, or a path. */
  program?: string | undefined;
  /** Arguments before the person's own. */
  args?: readonly string[] | undefined;
  /** Added to the environment; names that belong to this product are left out. */
  env?: Readonly<Record<string, string>> | undefined;
  /** In the provider's own words; each one is left out of the command when it is not set. */
  model?: string | undefined;
  effort?: string | undefined;
  approval?: string | undefined;
  sandbox?: string | undefined;
  /** Tokens of one tool result that reach the model (Codex). */
  toolOutputTokens?: number | undefined;
};

/** What the agent may know about its session; becomes its environment. */
export type SessionFacts = {
  /** The only MCP endpoint the agent ever sees. */
  mcpUrl: string;
  /** The endpoint's secret (in direct mode the scoped token) and the variable that carries it. */
  sessionToken: { name: string; value: string };
  agentName: string;
  relayUrl: string;
  /** How the agent's actions are approved, for the agent to know. */
  approval: string;
  token: { jti: string; profile: string; expiresAt: string };
  workspaceMode: "shared" | "isolated";
};

/** What the features need on this machine. What is missing leaves its feature out. */
export type LaunchAids = {
  /** Folder with this provider's plugins, `hooks` and `skills`; absolute. */
  plugins?: string | undefined;
  /** This product's own program, absolute: what hooks and the status line start. */
  program?: string | undefined;
  /** The runner's folder, by which they find its control server. */
  folder?: string | undefined;
};

export type LaunchRequest = {
  session: SessionFacts;
  features: RelayFeatures;
  settings: ProviderSettings;
  mode: LaunchMode;
  /** Undefined: the provider chooses one and says so (`conversation` event). */
  conversation: Conversation | undefined;
  /** Tells the model where it is, beside its own system prompt; left out when empty. */
  instructions: string;
  aids: LaunchAids;
  /** What the person wrote after `--`. */
  args: readonly string[];
  cwd: string;
  /** The scrubbed environment to build on. */
  environment: Readonly<Record<string, string>>;
  /** Where a program is, or why it cannot be started. `searchPath` is the child's own PATH. */
  find(program: string, searchPath: string, cwd: string): string | { error: Error };
  /** How long the agent waits for a tool call, and for the first answer of the endpoint; ms. */
  toolCallMs: number;
  mcpStartMs: number;
};

/** How to start the program, or why it cannot be: a sentence with what to do. */
export type LaunchPlan =
  | { status: "ready"; command: readonly string[]; env: Record<string, string> }
  | { status: "refused"; reason: string };
