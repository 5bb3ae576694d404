/** This process: its log on standard error, and the signals that end it. */
import { createLog, type Log } from "../base/log.ts";

const levels = ["debug", "info", "warn", "error", "silent"] as const;

/** A logger of JSON lines on standard error. */
export function stderrLog(level: string): Log {
  const known = levels.find((name) => name === level) ?? "warn";
  return createLog(known, (line) => process.stderr.write(line));
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process at once. */
export function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const stop = (signal: NodeJS.Signals) => {
      for (const name of ["SIGINT", "SIGTERM"] as const) {
        process.removeListener(name, stop);
        process.once(name, () => process.exit(130));
      }
      resolve(signal);
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  });
}
