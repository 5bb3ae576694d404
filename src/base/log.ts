/**
 * Structured logs as JSON lines. What may be logged is decided by type: names of secrets and of content are refused
 * by the compiler, and values that could hold anything (requests, records, headers) are never written, only their
 * kind. As a last line, texts in the form of our tokens are replaced.
 */
import pino from "pino";

/** Fields that would hold a secret, or what agents and people have written. */
type Unloggable = (typeof unloggable)[number];
const unloggable = [
  "token",
  "secret",
  "authorization",
  "cookie",
  "password",
  "headers",
  "body",
  "text",
  "content",
  "arguments",
] as const;

export type LogFields = { readonly [name: string]: unknown } & { readonly [Name in Unloggable]?: never };
export interface Log {
  /** Fields that cost something to gather are given as a function: it is called only when the line is written. */
  debug(message: string, fields?: LogFields | (() => LogFields)): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  with(fields: LogFields): Log;
}

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
      if (!sink.isLevelEnabled("debug")) return;
      sink.debug(flat(typeof fields === "function" ? fields() : fields), message);
    },
    info: (message, fields = {}) => sink.info(flat(fields), message),
    warn: (message, fields = {}) => sink.warn(flat(fields), message),
    error: (message, fields = {}) => sink.error(flat(fields), message),
    with: (fields) => wrap(sink.child(flat(fields))),
  };
}

const named: ReadonlySet<string> = new Set(unloggable);

function flat(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, named.has(name) ? "[redacted]" : shown(value)]),
  );
}

/** Texts, numbers and lists of them as they are; of everything else only what it is. */
function shown(value: unknown): unknown {
  if (value instanceof Error) return errorText(value);
  if (Array.isArray(value)) return value.map((one) => (isPlain(one) ? one : kindOf(one)));
  return isPlain(value) ? value : kindOf(value);
}

function isPlain(value: unknown): boolean {
  return value === null || value === undefined || ["string", "number", "boolean"].includes(typeof value);
}

function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value);
}

/** What a fault says of itself; its other members may hold a request. */
function errorText(error: Error): string {
  const cause = error.cause instanceof Error ? `: ${errorText(error.cause)}` : "";
  return `${error.name}: ${error.message}${cause}`;
}
