/**
 * The life of an agent's process as a pure machine: every state answers every event with the next state and what is
 * to be done. The supervisor does it. The first cause of an ending is kept; what comes later cannot change it.
 */
import type { ExitResult } from "../base/process.ts";

/** Why an agent ended for good. */
export type EndCause =
  /** By itself, and its policy does not start it again. */
  | "exited"
  /** It was asked to, and did. */
  | "stopped"
  /** It was asked to, did not in time, and was killed. */
  | "killed"
  /** It could not be started. */
  | "spawn-failed"
  /** It crashed again and again soon after its start. */
  | "crash-loop";

export type LifeState =
  | { name: "starting"; crashes: number }
  | { name: "running"; crashes: number; since: number }
  | { name: "stopping"; stage: "asked" | "forced" }
  | { name: "restarting"; crashes: number; at: number; exit: ExitResult }
  | { name: "ended"; cause: EndCause; exit: ExitResult | undefined };

/** Times are monotonic ms. `chance` in [0, 1) spreads restarts. */
export type LifeEvent =
  | { name: "spawned"; now: number }
  | { name: "spawn-failed" }
  | { name: "exited"; now: number; exit: ExitResult; chance: number }
  | { name: "stop-asked" }
  | { name: "stop-deadline" }
  | { name: "restart-due" };

/** What the supervisor is to do, in this order. `ask` and `force` reach the child that there is, if any. */
export type LifeAction = "spawn" | "ask" | "force" | "watch-stop" | "watch-restart";

export type LifeStep = { state: LifeState; actions: readonly LifeAction[] };

/** When an agent is started again. `never` is for programs whose exit code is the answer. */
export type RestartPolicy =
  | { when: "never" }
  | { when: "onFailure"; baseMs: number; capMs: number; crashesMax: number; stableMs: number };

type EventOf<Name extends LifeEvent["name"]> = Extract<LifeEvent, { name: Name }>;
type StateOf<Name extends LifeState["name"]> = Extract<LifeState, { name: Name }>;
type Row<State extends LifeState> = {
  [Name in LifeEvent["name"]]: (state: State, event: EventOf<Name>, policy: RestartPolicy) => LifeStep;
};
type Table = { [Name in LifeState["name"]]: Row<StateOf<Name>> };

/** The state before the first start. */
export const firstState: LifeState = { name: "starting", crashes: 0 };

const stay = (state: LifeState): LifeStep => ({ state, actions: [] });
const go = (state: LifeState, ...actions: LifeAction[]): LifeStep => ({ state, actions });
const end = (cause: EndCause, exit: ExitResult | undefined) => go({ name: "ended", cause, exit });
const askToStop = () => go({ name: "stopping", stage: "asked" }, "ask", "watch-stop");

const table: Table = {
  starting: {
    spawned: ({ crashes }, { now }) => go({ name: "running", crashes, since: now }),
    "spawn-failed": () => end("spawn-failed", undefined),
    exited: ({ crashes }, event, policy) => afterExit(crashes, event, policy),
    "stop-asked": askToStop,
    "stop-deadline": stay,
    "restart-due": stay,
  },
  running: {
    spawned: stay,
    "spawn-failed": stay,
    exited: ({ crashes, since }, event, policy) => {
      const stable = policy.when === "onFailure" && event.now - since >= policy.stableMs;
      return afterExit(stable ? 0 : crashes, event, policy);
    },
    "stop-asked": askToStop,
    "stop-deadline": stay,
    "restart-due": stay,
  },
  stopping: {
    // The stop came while the start was under way: the child that now exists has not been told yet.
    spawned: (state) => go(state, state.stage === "asked" ? "ask" : "force"),
    "spawn-failed": () => end("stopped", undefined),
    exited: ({ stage }, { exit }) => end(stage === "asked" ? "stopped" : "killed", exit),
    "stop-asked": stay,
    "stop-deadline": (state) =>
      state.stage === "asked" ? go({ name: "stopping", stage: "forced" }, "force") : stay(state),
    "restart-due": stay,
  },
  restarting: {
    spawned: stay,
    "spawn-failed": stay,
    exited: stay,
    "stop-asked": ({ exit }) => end("stopped", exit),
    "stop-deadline": stay,
    "restart-due": ({ crashes }) => go({ name: "starting", crashes }, "spawn"),
  },
  ended: {
    spawned: stay,
    "spawn-failed": stay,
    exited: stay,
    "stop-asked": stay,
    "stop-deadline": stay,
    "restart-due": stay,
  },
};

/** The next state, and what is to be done. */
export function step(state: LifeState, event: LifeEvent, policy: RestartPolicy): LifeStep {
  // The table's type pairs each row with its state and event; the lookup by two names cannot say so.
  const row = table[state.name] as Row<LifeState>;
  const cell = row[event.name] as (s: LifeState, e: LifeEvent, p: RestartPolicy) => LifeStep;
  return cell(state, event, policy);
}

/** The exit code with which a runner passes its agent's end on: the agent's own, or 128 and the signal's number. */
export function exitCodeOf(
  ended: { cause: EndCause; exit: ExitResult | undefined },
  signalNumber: (signal: NodeJS.Signals) => number,
): number {
  if (ended.exit === undefined) return ended.cause === "spawn-failed" ? 127 : 0;
  const { code, signal } = ended.exit;
  return code ?? (signal === null ? 1 : 128 + signalNumber(signal));
}

function afterExit(crashes: number, event: EventOf<"exited">, policy: RestartPolicy): LifeStep {
  if (policy.when === "never" || !isCrash(event.exit)) return end("exited", event.exit);
  const count = crashes + 1;
  if (count >= policy.crashesMax) return end("crash-loop", event.exit);
  const ceiling = Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(crashes, 30));
  const at = event.now + event.chance * ceiling;
  return go({ name: "restarting", crashes: count, at, exit: event.exit }, "watch-restart");
}

/** A person's interrupt is not a crash: whoever pressed the keys wanted the agent to end. */
function isCrash({ code, signal }: ExitResult): boolean {
  return code !== 0 && code !== 130 && signal !== "SIGINT";
}
