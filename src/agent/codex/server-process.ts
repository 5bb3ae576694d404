/** The app-server as a program beside a person's terminal, and the address that it says it listens at. */
import { type Clock, sleep } from "../../base/clock.ts";
import { spawnChild } from "../../base/process.ts";
import type { LaunchPlan } from "../launch.ts";

export type ServerProcess = {
  readonly pid: number;
  /** Asks it to end, then forces it. */
  stop(): Promise<void>;
};

/** Starts the app-server. Throws when it cannot be started. */
export type StartServer = (options: {
  plan: Extract<LaunchPlan, { status: "ready" }>;
  cwd: string;
  clock: Clock;
  stopMs: number;
  onLine(line: string): void;
  onExit(why: string): void;
}) => ServerProcess;

/** The address in a line of the app-server's output; undefined in every other line. */
export function listeningAddress(line: string): string | undefined {
  return /listening on: (ws:\/\/127\.0\.0\.1:\d+)\b/.exec(line)?.[1];
}

/** Starts it as a group of its own, so that the terminal's keys do not reach it. */
export const startServerProcess: StartServer = ({ plan, cwd, clock, stopMs, onLine, onExit }) => {
  const child = spawnChild({
    command: plan.command,
    env: plan.env,
    cwd,
    stdio: { stdout: onLine, stderr: onLine },
    processGroup: true,
  });
  void child.exited.then(({ code, signal }) => onExit(`it ended with ${code ?? signal ?? "nothing"}`));
  return {
    pid: child.pid,
    async stop() {
      child.signalGroup("SIGTERM");
      if (!(await child.gone(clock, stopMs))) child.signalGroup("SIGKILL");
      await Promise.race([child.exited, sleep(clock, stopMs)]);
      child.release();
    },
  };
};
