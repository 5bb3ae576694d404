/**
 * Structured logs as JSON lines. Bodies, arguments and secrets are never passed to a logger; as a second line,
 * values under the names below and texts in the form of our tokens are replaced.
 */
import pino from "pino";

export type LogFields = Readonly<Record<string, unknown>>;
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  with(fields: LogFields): Log;
}

const secretNames = ["token", "secret", "authorization", "cookie", "password", "body", "arguments"];
const secretText = /(arl_(?:opr|hst|run|agt)_|Bearer\s+)[A-Za-z0-9_\-.~+/=]{8,}/g;

/** The text with every token in it replaced. */
export function redact(text: string): string {
  return text.replace(secretText, "$1[redacted]");
}

/**
 * A logger that writes JSON lines.
 * @param level the least severe level that is written; `silent` writes nothing
 * @param write takes one line with its newline
 */
export function createLog(
  level: "debug" | "info" | "warn" | "error" | "silent",
  write: (line: string) => void,
): Log {
  const sink = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`]), censor: "[redacted]" },
    },
    { write: (line: string) => write(redact(line)) },
  );
  return wrap(sink);
}

/** A logger that writes nothing. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLog,
};

function wrap(sink: pino.Logger): Log {
  return {
    // Called for every request and record: what nobody wants costs nothing.
    debug: (message, fields = {}) => {
      if (sink.isLevelEnabled("debug")) sink.debug(flat(fields), message);
    },
    info: (message, fields = {}) => sink.info(flat(fields), message),
    warn: (message, fields = {}) => sink.warn(flat(fields), message),
    error: (message, fields = {}) => sink.error(flat(fields), message),
    with: (fields) => wrap(sink.child(flat(fields))),
  };
}

function flat(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? errorText(value) : value]),
  );
}

function errorText(error: Error): string {
  const cause = error.cause instanceof Error ? `: ${errorText(error.cause)}` : "";
  return `${error.name}: ${error.message}${cause}`;
}
