/**
 * A disk that loses power, without one: the file operations of a process are recorded with strace, and a model of a
 * disk replays them up to a moment. Written data counts as safe only once its file was synced; what is not safe is
 * kept, dropped or torn by chance. Names follow the ordered journal of ext4: any sync makes all earlier ones safe.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { Random } from "../../../src/base/random.ts";

/** One recorded operation that succeeded; paths are below the recorded folder. */
export type DiskEvent =
  | { type: "open"; path: string; fd: number; creates: boolean; truncates: boolean; appends: boolean }
  | { type: "write"; path: string; fd: number; data: Buffer; at: number | undefined }
  | { type: "truncate"; path: string; size: number }
  | { type: "sync"; path: string }
  | { type: "rename"; path: string; to: string }
  | { type: "unlink"; path: string };

/** What strace is asked for. */
export const straceOptions = [
  ...["-f", "-qq", "--seccomp-bpf", "-y", "-xx", "-s", "1048576", "-e", "signal=none"],
  "-e",
  "trace=openat,open,pwrite64,write,pwritev,writev,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat",
];

const unhex = (text: string) => Buffer.from(text.replaceAll("\\x", ""), "hex");
/** A string or the path of a descriptor, all in hex. */
const hex = "((?:\\\\x[0-9a-f]{2})*)";
const patterns = {
  open: new RegExp(`^open(?:at)?\\((?:[^,"]*, )?"${hex}", ([A-Z_|]+)(?:, \\d+)?\\) += (\\d+)`),
  write: new RegExp(`^(?:pwrite64|write)\\((\\d+)<${hex}>, "${hex}", \\d+(?:, (\\d+))?\\) += (\\d+)`),
  truncate: new RegExp(`^ftruncate\\(\\d+<${hex}>, (\\d+)\\) += 0`),
  sync: new RegExp(`^f(?:data)?sync\\(\\d+<${hex}>\\) += 0`),
  rename: new RegExp(`^rename(?:at2?)?\\((?:[^,"]*, )?"${hex}", (?:[^,"]*, )?"${hex}"(?:, \\w+)?\\) += 0`),
  unlink: new RegExp(`^unlink(?:at)?\\((?:[^,"]*, )?"${hex}"(?:, \\w+)?\\) += 0`),
};

/** The operations of a recording that touch the folder, in the order in which they were done. */
export function parseTrace(trace: string, folder: string): DiskEvent[] {
  const begun = new Map<string, string>();
  const events: DiskEvent[] = [];
  const inside = (text: string | undefined) => {
    const path = relative(folder, unhex(text ?? "").toString());
    return path.startsWith("..") ? undefined : path;
  };
  for (const line of trace.split("\n")) {
    const space = line.indexOf(" ");
    const [pid, rest] = [line.slice(0, space), line.slice(space).trim()];
    // A call of one thread may be interrupted in the recording by those of another; it is done when it is resumed.
    if (rest.endsWith(" <unfinished ...>")) {
      begun.set(pid, rest.slice(0, -" <unfinished ...>".length));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const call = resumed === null ? rest : `${begun.get(pid) ?? ""}${resumed[1] ?? ""}`;
    const event = eventOf(call, inside);
    if (event !== undefined) events.push(event);
    else if (/^p?writev\(/.test(call) && inside(/<((?:\\x[0-9a-f]{2})*)>/.exec(call)?.[1]) !== undefined)
      throw new Error("Replay a recording: it has a gathered write, which the model does not know");
  }
  return events;
}

function eventOf(
  call: string,
  inside: (text: string | undefined) => string | undefined,
): DiskEvent | undefined {
  const open = patterns.open.exec(call);
  if (open !== null) {
    const path = inside(open[1]);
    const flags = open[2] ?? "";
    const has = (flag: string) => flags.split("|").includes(flag);
    if (path === undefined) return undefined;
    const facts = { creates: has("O_CREAT"), truncates: has("O_TRUNC"), appends: has("O_APPEND") };
    return { type: "open", path, fd: Number(open[3]), ...facts };
  }
  const write = patterns.write.exec(call);
  if (write !== null) {
    const path = inside(write[2]);
    const data = unhex(write[3] ?? "").subarray(0, Number(write[5]));
    const at = write[4] === undefined ? undefined : Number(write[4]);
    return path === undefined ? undefined : { type: "write", path, fd: Number(write[1]), data, at };
  }
  const truncate = patterns.truncate.exec(call);
  const truncated = inside(truncate?.[1]);
  if (truncate !== null && truncated !== undefined)
    return { type: "truncate", path: truncated, size: Number(truncate[2]) };
  const sync = patterns.sync.exec(call);
  const synced = inside(sync?.[1]);
  if (sync !== null && synced !== undefined) return { type: "sync", path: synced };
  const rename = patterns.rename.exec(call);
  const [from, to] = [inside(rename?.[1]), inside(rename?.[2])];
  if (rename !== null && from !== undefined && to !== undefined) return { type: "rename", path: from, to };
  const unlink = patterns.unlink.exec(call);
  const gone = inside(unlink?.[1]);
  return unlink !== null && gone !== undefined ? { type: "unlink", path: gone } : undefined;
}

type Change = { at: number; data: Buffer } | { size: number };
type File = { safe: Buffer; changes: Change[] };
type Naming = { path: string; file: File | undefined };

/**
 * How much of what is not safe is lost: everything, each write by chance, each sector of a write by chance. `none` is a
 * process that is killed on a machine that goes on.
 */
export type Loss = "none" | "all" | "some" | "torn";
export const losses: readonly Loss[] = ["all", "some", "torn"];
export const sectorBytes = 512;

/** The state of a disk while a recording is replayed. */
export class Disk {
  /** Names as the process sees them, names that are safe, and how the one comes from the other. */
  readonly #names = new Map<string, File>();
  readonly #safeNames = new Map<string, File>();
  #namings: Naming[] = [];
  readonly #offsets = new Map<number, { path: string; at: number; appends: boolean }>();
  readonly #sizes = new Map<File, number>();

  apply(event: DiskEvent): void {
    const file = this.#names.get(event.path);
    switch (event.type) {
      case "open": {
        if (file === undefined && event.creates)
          this.#name(event.path, { safe: Buffer.alloc(0), changes: [] });
        if (event.truncates) this.#change(this.#names.get(event.path), { size: 0 });
        this.#offsets.set(event.fd, { path: event.path, at: 0, appends: event.appends });
        break;
      }
      case "write":
        this.#change(file, { at: this.#place(event, file), data: event.data });
        break;
      case "truncate":
        this.#change(file, { size: event.size });
        break;
      case "sync":
        if (file !== undefined) {
          file.safe = changed(file.safe, file.changes);
          file.changes = [];
        }
        for (const naming of this.#namings) put(this.#safeNames, naming);
        this.#namings = [];
        break;
      case "rename":
        this.#name(event.to, file);
        this.#name(event.path, undefined);
        break;
      case "unlink":
        this.#name(event.path, undefined);
        break;
    }
  }

  /** The files as they might be found after a loss of power now. */
  image(random: Random, loss: Loss): Map<string, Buffer> {
    const names = new Map(this.#safeNames);
    const some = Math.floor(random.fraction() * (this.#namings.length + 1));
    const kept = { all: 0, none: this.#namings.length, some, torn: some }[loss];
    for (const naming of this.#namings.slice(0, kept)) put(names, naming);
    return new Map(
      [...names].map(([path, { safe, changes }]) => [path, changed(safe, surviving(changes, random, loss))]),
    );
  }

  #place(event: Extract<DiskEvent, { type: "write" }>, file: File | undefined): number {
    if (event.at !== undefined) return event.at;
    const open = this.#offsets.get(event.fd);
    const size = file === undefined ? 0 : (this.#sizes.get(file) ?? 0);
    const at = open?.appends === true ? size : (open?.at ?? 0);
    if (open !== undefined) open.at = at + event.data.length;
    return at;
  }

  #change(file: File | undefined, change: Change): void {
    if (file === undefined) return;
    file.changes.push(change);
    const before = this.#sizes.get(file) ?? 0;
    this.#sizes.set(file, "size" in change ? change.size : Math.max(before, change.at + change.data.length));
  }

  #name(path: string, file: File | undefined): void {
    put(this.#names, { path, file });
    this.#namings.push({ path, file });
  }
}

function put(names: Map<string, File>, { path, file }: Naming): void {
  if (file === undefined) names.delete(path);
  else names.set(path, file);
}

function changed(safe: Buffer, changes: readonly Change[]): Buffer {
  const sizes = changes.map((change) => ("size" in change ? change.size : change.at + change.data.length));
  const bytes = Buffer.alloc(Math.max(safe.length, ...sizes, 0));
  safe.copy(bytes);
  let size = safe.length;
  for (const change of changes) {
    if ("size" in change) {
      if (change.size < size) bytes.fill(0, change.size, size);
      size = change.size;
    } else {
      change.data.copy(bytes, change.at);
      size = Math.max(size, change.at + change.data.length);
    }
  }
  return bytes.subarray(0, size);
}

function surviving(changes: readonly Change[], random: Random, loss: Loss): Change[] {
  if (loss === "all") return [];
  if (loss === "none") return [...changes];
  const kept = changes.filter(() => random.fraction() < 0.5);
  if (loss === "some") return kept;
  return kept.flatMap((change) => {
    if ("size" in change) return [change];
    const sectors: Change[] = [];
    for (let at = 0; at < change.data.length; at += sectorBytes)
      if (random.fraction() < 0.7)
        sectors.push({ at: change.at + at, data: change.data.subarray(at, at + sectorBytes) });
    return sectors;
  });
}

/** Writes an image into an empty folder. */
export function writeImage(folder: string, image: ReadonlyMap<string, Buffer>): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [path, bytes] of image) {
    mkdirSync(dirname(join(folder, path)), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, path), bytes, { mode: 0o600 });
  }
}
