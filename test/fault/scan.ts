/**
 * Looks for relay tokens where none may be: in the environment and the arguments of every process that was started,
 * in every file of the homes and in the logs. Tokens are known by their form and checksum, and those found in the
 * files that own them also by their bare secret, in base64 and in hex.
 */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readProcFolder, treeOf } from "../../src/base/process-table.ts";
import { tokenKind } from "../../src/wire/token.ts";

/** A token where none may be. `excerpt` names the token without giving it away. */
export type Find = { place: "environ" | "cmdline" | "file" | "text"; subject: string; excerpt: string };

export type ScanOptions = {
  /** This process and everything started by it is searched. */
  pid: number;
  /** Every file below is searched. */
  folders: readonly string[];
  /** Files that may hold tokens, when only their owner can read them. */
  owns(path: string): boolean;
};

const tokenForm = /arl_(?:opr|hst|run|agt)_[A-Za-z0-9_-]{49}/g;

export class Scanner {
  readonly #options: ScanOptions;
  readonly #finds = new Map<string, Find>();
  /** Texts that give a token away: the token without its prefix, and encodings of it. */
  readonly #secrets = new Map<string, string>();
  readonly #tokens = new Set<string>();
  /** Start times by process id: what was started stays searched when its parent ends. */
  readonly #started = new Map<number, string>();
  readonly #clean = new Map<string, string>();
  #passes = 0;

  constructor(options: ScanOptions) {
    this.#options = options;
  }

  /** What was found, each place and token once. */
  get finds(): Find[] {
    return [...this.#finds.values()];
  }

  /** How much was searched: a scan that saw nothing proves nothing. */
  get seen() {
    return {
      passes: this.#passes,
      processes: this.#started.size,
      files: this.#clean.size,
      tokens: this.#tokens.size,
    };
  }

  /** Searches once. Files that have not changed since they were found clean are left out unless `all` is set. */
  pass(all = false): void {
    this.#passes += 1;
    const files = this.#options.folders.flatMap(filesBelow);
    const owned = files.filter((path) => this.#options.owns(path) && isPrivate(path));
    for (const path of owned) this.#learn(readBytes(path));
    this.#searchProcesses();
    for (const path of files) if (!owned.includes(path)) this.#searchFile(path, all);
  }

  /** Searches a text, for example what a program printed. */
  text(subject: string, text: string): void {
    this.#search("text", subject, text);
  }

  #learn(text: string): void {
    for (const [token] of text.matchAll(tokenForm)) {
      if (tokenKind(token) === undefined || this.#tokens.has(token)) continue;
      this.#tokens.add(token);
      const bare = token.slice(8, -6);
      const bytes = Buffer.from(token);
      for (const form of [bare, bytes.toString("base64").replace(/=+$/, ""), bytes.toString("hex")])
        this.#secrets.set(form, token);
    }
  }

  #searchProcesses(): void {
    const rows = readProcFolder() ?? [];
    for (const row of treeOf(this.#options.pid, rows)) this.#started.set(row.pid, row.startTime);
    for (const row of rows) {
      if (this.#started.get(row.pid) !== row.startTime) continue;
      for (const child of treeOf(row.pid, rows)) this.#started.set(child.pid, child.startTime);
      const name = readBytes(`/proc/${row.pid}/comm`).trim();
      for (const place of ["environ", "cmdline"] as const)
        this.#search(place, `${name} ${row.pid}`, readBytes(`/proc/${row.pid}/${place}`));
    }
  }

  #searchFile(path: string, all: boolean): void {
    const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true });
    if (stat === undefined) return;
    const version = `${stat.size} ${stat.mtimeNs} ${stat.ino}`;
    if (!all && this.#clean.get(path) === version) return;
    this.#search("file", path, readBytes(path));
    this.#clean.set(path, version);
  }

  #search(place: Find["place"], subject: string, text: string): void {
    const byForm = [...text.matchAll(tokenForm)].map(([token]) => token).filter((token) => tokenKind(token));
    const bySecret = [...this.#secrets].filter(([form]) => text.includes(form)).map(([, token]) => token);
    for (const token of new Set([...byForm, ...bySecret])) {
      const excerpt = `${token.slice(0, 12)}…`;
      this.#finds.set(`${place} ${subject} ${excerpt}`, { place, subject, excerpt });
    }
  }
}

function filesBelow(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  } catch {
    return []; // It went while it was being read; the next pass sees what is left.
  }
}

function isPrivate(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat !== undefined && (stat.mode & 0o777) === 0o600 && stat.uid === process.getuid?.();
}

/** One character per byte, so that binary files can be searched; empty when it is gone or not ours to read. */
function readBytes(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
