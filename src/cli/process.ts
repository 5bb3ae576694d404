/** This process: its log on standard error, and the signals that end it. */
import { constants } from "node:os";
import { createLog, type Log } from "../base/log.ts";

const levels = ["debug", "info", "warn", "error", "silent"] as const;

/** A logger of JSON lines on standard error. */
export function stderrLog(level: string): Log {
  const known = levels.find((name) => name === level) ?? "warn";
  return createLog(known, (line) => process.stderr.write(line));
}

/** From the call on: resolves at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once. */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const stop = () => {
      if (asked) process.exit(130);
      asked = true;
      resolve();
    };
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, stop);
  });
}

/** What signals are passed on to: an agent that runs. */
export type Interruptible = { interrupt(): void; stop(): void };

/**
 * Passes signals on to an agent from before it is started: one that came between its first word and ours would end
 * this process and leave the agent to its lifeline. While there is no agent a signal ends this process at once.
 * @param agent the agent, once there is one: Ctrl-C interrupts it, SIGTERM and SIGHUP stop it
 * @returns lets go
 */
export function passSignals(agent: () => Interruptible | undefined): () => void {
  const handlers = (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((name) => {
    const handle = () => {
      const running = agent();
      if (running === undefined) process.exit(128 + constants.signals[name]);
      if (name === "SIGINT") running.interrupt();
      else running.stop();
    };
    process.on(name, handle);
    return { name, handle };
  });
  return () => {
    for (const { name, handle } of handlers) process.removeListener(name, handle);
  };
}
