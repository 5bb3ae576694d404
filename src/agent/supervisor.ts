/**
 * Runs one agent's process through its life: starts it, asks it to stop, forces what does not, starts it again where
 * the policy says so. Decides nothing itself: `life.ts` does. What an agent leaves in its group ends with it; at a
 * terminal, what was there when it was asked to stop.
 */
import { type Clock, sleep } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import {
  type ChildProcess,
  type ExitResult,
  type LineStdio,
  type ProcessIdentity,
  spawnChild,
} from "../base/process.ts";
import type { Random } from "../base/random.ts";
import type { Limits } from "../limits.ts";
import {
  type EndCause,
  firstState,
  type LifeEvent,
  type LifeState,
  type RestartPolicy,
  step,
} from "./life.ts";
import type { LaunchPlan } from "./provider.ts";

export type SupervisorOptions = {
  /** Asked before every start, so that a restarted agent gets what is true then. A rejection is a failed start. */
  plan: () => LaunchPlan | Promise<LaunchPlan>;
  cwd: string;
  stdio: "inherit" | LineStdio;
  /** The agent is at a person's terminal: it shares our process group, and the keys for interrupt reach it directly. */
  terminal: boolean;
  policy: RestartPolicy;
  clock: Clock;
  random: Random;
  log: Log;
  limits: Pick<Limits, "childStopMs" | "outputDrainMs">;
  /** A child runs; for the record that a restarted runner ends it by. Not called when it was gone at once. */
  onChild?: (child: ProcessIdentity) => void;
  /** A child was started: the way to its input. */
  onSpawned?: (child: Pick<ChildProcess, "pid" | "write" | "closeInput">) => void;
  /** A child has ended; another may follow. */
  onExited?: (exit: ExitResult) => void;
};

/** How an agent ended for good. */
export type AgentEnd = {
  code: ExitResult["code"];
  signal: ExitResult["signal"];
  cause: EndCause;
  /** Why it could not be started. */
  fault?: string;
};

export interface Supervisor {
  readonly state: LifeState;
  /** Resolves when the agent has ended for good and everything of it is gone; never rejects. */
  readonly ended: Promise<AgentEnd>;
  /** Asks the agent to end, waits `childStopMs`, forces it. Further calls wait for the same end. */
  stop(): Promise<AgentEnd>;
  /** Passes an interrupt on; at a terminal the agent has got it already. */
  interrupt(): void;
}

/** Starts the agent at once. The clock's timers need not keep this program alive: whoever waits for the end must. */
export function supervise(options: SupervisorOptions): Supervisor {
  const { clock, log, limits } = options;
  let state = firstState;
  let child: ChildProcess | undefined;
  let fault: string | undefined;
  let askedAt: number | undefined;
  let cleared = Promise.resolve();
  const ended = Promise.withResolvers<AgentEnd>();

  const handle = (event: LifeEvent) => {
    const next = step(state, event, options.policy);
    if (next.state.name !== state.name)
      log.debug("agent life", { event: event.name, from: state.name, to: next.state.name });
    state = next.state;
    for (const action of next.actions) actions[action]();
    if (state.name === "ended") {
      const end = endOf(state, fault);
      void cleared.then(() => ended.resolve(end));
    }
  };
  const spawn = async () => {
    const started = await tryStart(options);
    if (typeof started === "string") {
      fault = started;
      return handle({ name: "spawn-failed" });
    }
    child = started;
    handle({ name: "spawned", now: clock.monotonic() });
    void started.exited.then((exit) => {
      const now = clock.monotonic();
      const patience = askedAt === undefined ? limits.childStopMs : askedAt + limits.childStopMs - now;
      cleared = clear(started, Math.max(0, patience), options);
      tell(options, () => options.onExited?.(exit));
      handle({ name: "exited", now, exit, chance: options.random.fraction() });
    });
    announce(started, options);
  };
  const actions = {
    spawn() {
      // What the last one left behind goes first. A stop may come meanwhile: then there is nothing to start.
      void cleared.then(() => (state.name === "starting" ? spawn() : handle({ name: "spawn-failed" })));
    },
    ask() {
      askedAt ??= clock.monotonic();
      child?.signalGroup("SIGTERM");
      // One that is suspended would hear it only when it goes on.
      child?.signalGroup("SIGCONT");
    },
    force: () => void child?.signalGroup("SIGKILL"),
    "watch-stop": () => void clock.after(limits.childStopMs, () => handle({ name: "stop-deadline" })),
    "watch-restart"() {
      clock.after(pauseOf(state, clock), () => handle({ name: "restart-due" }));
    },
  };

  void spawn();
  return {
    get state() {
      return state;
    },
    ended: ended.promise,
    stop() {
      handle({ name: "stop-asked" });
      return ended.promise;
    },
    interrupt() {
      if (!options.terminal) child?.signalGroup("SIGINT");
    },
  };
}

/** How long it is until the next start is due, ms. */
function pauseOf(state: LifeState, clock: Clock): number {
  return state.name === "restarting" ? Math.max(0, state.at - clock.monotonic()) : 0;
}

/** The child, or why there is none. Never rejects. */
async function tryStart(options: SupervisorOptions): Promise<ChildProcess | string> {
  const { cwd, stdio } = options;
  try {
    const plan = await options.plan();
    if (plan.status === "refused") return plan.reason;
    return spawnChild({ command: plan.command, env: plan.env, cwd, stdio, processGroup: !options.terminal });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** A listener that throws costs nothing but what it would have done. */
function tell({ log }: SupervisorOptions, listener: () => void): void {
  try {
    listener();
  } catch (error) {
    log.error("agent's start or end was not handled", { error });
  }
}

/** Tells of a new child: who records it, then who speaks to it. */
function announce(child: ChildProcess, options: SupervisorOptions): void {
  recordChild(child, options);
  tell(options, () => options.onSpawned?.(child));
}

function recordChild({ pid, group, startTime }: ChildProcess, { onChild, log }: SupervisorOptions): void {
  if (startTime === undefined) return;
  try {
    onChild?.({ pid, group, startTime });
  } catch (error) {
    log.error("agent is not recorded: a restarted runner will not find it", { error });
  }
}

/** Ends what the ended program has left behind (asked, then forced), and waits for its last lines. Never rejects. */
async function clear(child: ChildProcess, patienceMs: number, options: SupervisorOptions): Promise<void> {
  const { clock, limits, log } = options;
  try {
    const left = child.signalGroup("SIGTERM");
    if (left > 0 && !(await child.gone(clock, patienceMs))) {
      log.warn("agent left processes that did not end when asked", { left });
      child.signalGroup("SIGKILL");
      await child.gone(clock, limits.childStopMs);
    }
    await Promise.race([child.outputEnded, sleep(clock, limits.outputDrainMs)]);
  } catch (error) {
    log.error("agent's remains could not be cleared", { error });
  }
  child.release();
}

function endOf(state: Extract<LifeState, { name: "ended" }>, fault: string | undefined): AgentEnd {
  const { code = null, signal = null } = state.exit ?? {};
  return { code, signal, cause: state.cause, ...(fault === undefined ? {} : { fault }) };
}
