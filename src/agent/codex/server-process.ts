/** The app-server as a program beside a person's terminal, and the address that it says it listens at. */
import { type Clock, sleep } from "../../base/clock.ts";
import type { OpenSocket } from "../../base/http/web-socket.ts";
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

/** What a session reaches beside its own program. */
export type CodexOutside = {
  openSocket: OpenSocket;
  startServer: StartServer;
  /** SHA-256 as hex. */
  hash(text: string): string;
};

/**
 * Starts an app-server. `url` is its address once it says that it listens; it rejects with its last words when it ends
 * before, or says none in time. The server is the caller's to stop either way.
 * @param options.startMs from the start to the address
 */
export function startListening(
  startServer: StartServer,
  options: Omit<Parameters<StartServer>[0], "onLine"> & { startMs: number },
): { server: ServerProcess; url: Promise<string> } {
  const { clock, startMs, onExit } = options;
  const listening = Promise.withResolvers<string>();
  let last = "";
  const server = startServer({
    ...options,
    onLine: (line) => {
      if (line.trim() !== "") last = line;
      const url = listeningAddress(line);
      if (url !== undefined) listening.resolve(url);
    },
    onExit: (why) => {
      listening.reject(new Error(`Start Codex's app-server: ${why}; its last words were: ${last}`));
      onExit(why);
    },
  });
  const late = () =>
    listening.reject(new Error(`Start Codex's app-server: it said no address within ${startMs} ms`));
  return { server, url: listening.promise.finally(clock.after(startMs, late)) };
}

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
