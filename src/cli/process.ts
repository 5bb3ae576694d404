/** This process: its log on standard error, and the signals that end it. */
import { createLog, type Log } from "../base/log.ts";

const levels = ["debug", "info", "warn", "error", "silent"] as const;

/** A logger of JSON lines on standard error. */
export function stderrLog(level: string): Log {
  const known = levels.find((name) => name === level) ?? "warn";
  return createLog(known, (line) => process.stderr.write(line));
}

/** Resolves at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once. */
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

/**
 * Passes interrupts on while an agent runs; the returned function lets go.
 * @param handlers `interrupt` for Ctrl-C, `stop` for SIGTERM and SIGHUP
 */
export function onInterrupts(handlers: { interrupt(): void; stop(): void }): () => void {
  const interrupt = () => handlers.interrupt();
  const stop = () => handlers.stop();
  process.on("SIGINT", interrupt);
  for (const name of ["SIGTERM", "SIGHUP"] as const) process.on(name, stop);
  return () => {
    process.removeListener("SIGINT", interrupt);
    for (const name of ["SIGTERM", "SIGHUP"] as const) process.removeListener(name, stop);
  };
}
