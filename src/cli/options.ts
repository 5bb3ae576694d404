/** Options that several commands have, and the printer they choose. */
import { Option } from "commander";
import { wholeNumber } from "./context.ts";
import { createPrinter, type Printer } from "./print.ts";

/** `--home` */
export const home = () =>
  new Option("--home <dir>", "state folder (default: AGENT_RELAY_HOME or ~/.agent-relay)");
export const json = () => new Option("--json", "print JSON for programs");
export const relay = () =>
  new Option("--relay <url>", "the relay (default: AGENT_RELAY_URL or the one running from the home)");
export const tokenFile = () =>
  new Option("--token-file <file>", "file with a token (default: operator.token in the home)");
export const logLevel = (fallback: "warn" | "error") =>
  new Option("--log-level <level>", "what is logged to standard error")
    .choices(["debug", "info", "warn", "error", "silent"])
    .default(fallback);
export const port = (fallback: number, what: string) =>
  new Option("--port <n>", what).argParser(wholeNumber("--port", 0, 65_535)).default(fallback);

/** A printer on standard output, for people or for programs. */
export function printer(options: { json?: boolean }): Printer {
  return createPrinter({
    json: options.json === true,
    write: (text) => process.stdout.write(text),
    color: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
  });
}
