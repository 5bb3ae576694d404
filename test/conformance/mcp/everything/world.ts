/** What the instances of the fixture share: which changeable things are shown, and who hears of a change. */
import type { RequestStateCodec } from "@modelcontextprotocol/server";

/** Things of the fixture that come and go. */
export type Changeable = "tools" | "prompts";

/** State kept in a tool's `requestState` between the rounds of one call. */
export type RoundState = { readonly tool: string; readonly round: number };

export type World = {
  readonly shown: Record<Changeable, boolean>;
  readonly codec: RequestStateCodec<RoundState>;
  /** Shows what was hidden or hides what was shown, and tells everyone who listens. */
  toggle(what: Changeable): void;
};
