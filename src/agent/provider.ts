/**
 * The contract of a provider: the program behind an agent. A provider is one file with the same exports as its twins.
 * `launch` is pure: from what is known about the session to the command and environment that start the program;
 * `openSession` drives what was started. Their words are in launch.ts and session.ts.
 */
import type { LaunchPlan, LaunchRequest, ProviderName } from "./launch.ts";
import type { Session, SessionOptions } from "./session.ts";

export {
  type LaunchPlan,
  type LaunchRequest,
  mcpServerName,
  type ProviderName,
  type ProviderSettings,
  providerNames,
  type RelayFeatures,
  type SessionFacts,
} from "./launch.ts";

/** What each provider's file exports. */
export interface Provider {
  readonly name: ProviderName;
  launch(request: LaunchRequest): LaunchPlan;
  openSession(options: SessionOptions): Session;
}
