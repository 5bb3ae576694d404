/** What a start of the agent's program is made from: the person's options, and what the relay granted by then. */
import { resolve } from "node:path";
import { scrubbedEnvironment } from "./agent/environment.ts";
import { instructionsFor } from "./agent/instructions.ts";
import type { LaunchMode, LaunchRequest, RelayFeatures, SessionFacts } from "./agent/launch.ts";
import { findProgram } from "./base/process.ts";
import { limits } from "./limits.ts";
import type { Parts, RunnerOptions } from "./runner-parts.ts";
import { defaultProfile } from "./wire/scope.ts";

/** What a start is made from, beside what the session itself adds. */
export function launchRequest(
  options: RunnerOptions,
  given: {
    session: SessionFacts;
    environment: Record<string, string>;
    features?: Partial<RelayFeatures> | undefined;
    profile?: string | undefined;
    folder?: string;
  },
): LaunchRequest {
  return {
    session: given.session,
    features: { ...defaultProfile.features, ...given.features },
    settings: options.settings?.(given.profile) ?? {},
    mode: modeOf(options),
    conversation: undefined,
    instructions: instructionsFor(options.agentName),
    aids: {
      plugins: resolve(import.meta.dir, "..", "plugins", options.provider),
      // Only Claude Code has hooks of ours: nobody else needs to find the runner.
      program: options.provider === "claude" ? options.program : undefined,
      folder: given.folder,
    },
    args: options.args,
    cwd: options.cwd,
    environment: given.environment,
    find: findProgram,
    toolCallMs: limits.agentToolCallMs,
    mcpStartMs: limits.agentMcpStartMs,
  };
}

/** Headless, or at the person's terminal. */
export function modeOf({ headless }: RunnerOptions): LaunchMode {
  return headless === true ? "headless" : "terminal";
}

/** The request for a start now. */
export function requestNow(parts: Parts, session: SessionFacts): LaunchRequest {
  const { options, scratch, tokens, credentials, folder } = parts;
  const environment = scrubbedEnvironment(options.environment);
  return launchRequest(options, {
    session,
    environment: scratch === undefined ? environment : { ...environment, AGENT_RELAY_SCRATCH: scratch.path },
    features: tokens.facts()?.features ?? credentials.current().features,
    profile: tokens.facts()?.profile ?? credentials.current().profile,
    folder,
  });
}
