/** What every command starts from: the home folder, the relay it talks to, its token. The environment is read here. */
import { homedir, hostname } from "node:os";
import { join, resolve } from "node:path";
import { authorityOf } from "../base/authority.ts";
import { isMissing, readPrivate, requireOwnFolder } from "../base/file.ts";
import { type Client, createClient } from "../sdk/client.ts";
import { tokenKind } from "../wire/token.ts";
import { CliError } from "./print.ts";

export type HomeOption = { home?: string };
export type RelayOptions = HomeOption & { relay?: string; tokenFile?: string };

/**
 * The state folder: `--home`, else `AGENT_RELAY_HOME`, else `~/.agent-relay`. Always absolute. It need not exist;
 * one that is not ours, or no folder, is refused by every command.
 */
export function homeOf(options: HomeOption): string {
  const chosen = options.home ?? process.env.AGENT_RELAY_HOME ?? join(homedir(), ".agent-relay");
  const home = resolve(chosen);
  try {
    requireOwnFolder(home);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  return home;
}

/** The relay's address: `--relay`, else `AGENT_RELAY_URL`, else the one that `up` wrote into the home. */
export function relayUrlOf(options: RelayOptions): string {
  const chosen =
    options.relay ??
    process.env.AGENT_RELAY_URL ??
    readPrivate(join(homeOf(options), "relay", "url"))?.trim();
  if (chosen === undefined || chosen === "") {
    throw new CliError(
      "usage",
      `Find the relay: none runs from ${homeOf(options)}; start one with 'agent-relay up' or give --relay URL`,
    );
  }
  const url = parseUrl("--relay", chosen);
  if (new URL(url).pathname !== "/") {
    throw new CliError(
      "usage",
      `Read --relay: '${chosen}' has a path; the relay's address alone was wanted, such as http://127.0.0.1:4850`,
    );
  }
  return url;
}

/** An http(s) URL without a trailing slash. */
export function parseUrl(option: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new CliError(
      "usage",
      `Read ${option}: '${text}' is not an http or https URL, such as http://127.0.0.1:4850`,
    );
  }
  return text.replace(/\/+$/, "");
}

/** The text of a token file; it must have the form of one of our tokens when `ours` is set. */
export function readTokenFile(path: string, ours: boolean): string {
  const text = readPrivate(path)?.trim();
  if (text === undefined) throw new CliError("usage", `Read the token file: there is no ${path}`);
  if (ours && tokenKind(text) === undefined) {
    throw new CliError("usage", `Read the token file ${path}: it does not hold an Agent Relay token (arl_…)`);
  }
  if (text === "") throw new CliError("usage", `Read the token file ${path}: it is empty`);
  return text;
}

/** A client of the relay with the operator's token, or the one in `--token-file`. */
export function operatorClient(options: RelayOptions): Client {
  const url = relayUrlOf(options);
  const token = readTokenFile(options.tokenFile ?? join(homeOf(options), "operator.token"), true);
  return createClient({ url, token: () => token, ca: authorityOf(homeOf(options)) });
}

/** This machine's name, for people. */
export function machineName(): string {
  return hostname();
}

/** A whole number within bounds, for option parsers. */
export function wholeNumber(option: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) {
      throw new CliError("usage", `Read ${option}: '${text}' is not a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** A point in time with its zone, as ISO 8601 in UTC, for option parsers. */
export function pointInTime(option: string): (text: string) => string {
  return (text) => {
    const time = /(Z|[+-]\d\d:?\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
    if (Number.isNaN(time)) {
      throw new CliError(
        "usage",
        `Read ${option}: '${text}' is not a time with its zone, such as 2027-01-31T18:00Z`,
      );
    }
    return new Date(time).toISOString();
  };
}
