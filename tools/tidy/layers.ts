/** Who may import whom: the rooms of src/ as a table, and the rules that read it. */
import { posix } from "node:path";
import type { Import, Source } from "./facts.ts";
import type { Finding, Repository } from "./repository.ts";

/** One room: what it may import beyond itself, and which npm packages. */
type Room = {
  /** Rooms, single files of other rooms, or files beside src/. */
  readonly imports: readonly string[];
  readonly packages: readonly string[];
  /** What only its own unit tests may import besides. */
  readonly tests?: readonly string[];
};

const shared = ["base", "wire", "limits.ts"] as const;
const everyRoom = [
  "agent",
  "inbox",
  "outbox",
  "proxy",
  "runner",
  "host",
  "workspace",
  "relay",
  "store",
  "sdk",
] as const;
/**
 * The files that join rooms. `runner-parts.ts` is the part of `runner.ts` that opens what stands around the agent,
 * `runner-session.ts` the agent's session itself, `runner-launch.ts` what its start is made from, `hook.ts` what its
 * hooks start, `sessions.ts` what they did, `outboxes.ts` is about all outboxes of a machine.
 */
const wirings = [
  "runner.ts",
  "runner-parts.ts",
  "runner-session.ts",
  "runner-launch.ts",
  "hook.ts",
  "sessions.ts",
  "outboxes.ts",
  "upstream.ts",
  "server.ts",
  "host.ts",
] as const;
const wiring: Room = { imports: [...shared, ...everyRoom, "package.json"], packages: [] };

/** Every entry of src/. An entry that is not here may not exist. */
export const rooms: Readonly<Record<string, Room>> = {
  "limits.ts": { imports: [], packages: [] },
  base: { imports: ["limits.ts"], packages: ["pino"] },
  wire: { imports: ["limits.ts"], packages: ["zod"] },
  agent: { imports: shared, packages: [] },
  inbox: { imports: shared, packages: [] },
  outbox: { imports: shared, packages: [] },
  proxy: { imports: shared, packages: [] },
  runner: { imports: shared, packages: ["zod"] },
  host: { imports: shared, packages: [] },
  workspace: { imports: shared, packages: [] },
  relay: {
    imports: [...shared, "store/store.ts"],
    packages: ["@modelcontextprotocol/server", "zod"],
    tests: ["store/sqlite.ts", "sdk/client.ts"],
  },
  store: { imports: shared, packages: [] },
  sdk: { imports: shared, packages: ["zod"] },
  cli: {
    imports: [...shared, "sdk", ...wirings, "package.json", "examples/demo"],
    packages: ["commander"],
  },
  "runner.ts": {
    ...wiring,
    imports: [...wiring.imports, "runner-parts.ts", "runner-session.ts", "runner-launch.ts", "outboxes.ts"],
  },
  "runner-session.ts": { ...wiring, imports: [...wiring.imports, "runner-parts.ts", "runner-launch.ts"] },
  "runner-launch.ts": { ...wiring, imports: [...wiring.imports, "runner-parts.ts"] },
  "hook.ts": wiring,
  "sessions.ts": wiring,
  "runner-parts.ts": { ...wiring, imports: [...wiring.imports, "outboxes.ts"], packages: ["zod"] },
  "outboxes.ts": { ...wiring, packages: ["zod"] },
  "upstream.ts": { ...wiring, imports: [...wiring.imports, "outboxes.ts"] },
  "server.ts": wiring,
  "host.ts": wiring,
  "index.ts": { imports: [...shared, "sdk"], packages: [] },
};

/** Packages that any test may use. */
const testPackages = [
  "bun:test",
  "fast-check",
  "zod",
  "@modelcontextprotocol/client",
  "@modelcontextprotocol/server",
];

/** What any unit test may import besides its room's row. */
const testAids = ["test/needs.ts", "test/fixtures"];

/** The entry of src/ that a path belongs to. */
export function roomOf(path: string): string | undefined {
  return /^src\/([^/]+)/.exec(path)?.[1];
}

/** True for a file that holds tests. */
export function isTest(path: string): boolean {
  return path.startsWith("test/") || path.endsWith(".test.ts");
}

/** Rooms import only what the table lets them. */
export function checkLayers({ sources }: Repository): Finding[] {
  return inProduct(sources, (source, room, name) => {
    const test = isTest(source.path);
    const own = name.replace(/\.test\.ts$/, ".ts");
    const allowed = [own, ...room.imports, ...(test ? [...testAids, ...(room.tests ?? [])] : [])];
    return source.imports.flatMap((entry) => {
      const target = targetOf(source.path, entry);
      if (target === undefined) return [];
      const inside = target.startsWith("src/") ? target.slice(4) : target;
      if (allowed.some((one) => inside === one || inside.startsWith(`${one}/`))) return [];
      return [
        {
          path: source.path,
          line: entry.line,
          what: `${name} imports ${target}: only ${allowed.join(", ")} may be`,
        },
      ];
    });
  });
}

/** Rooms use only the npm packages of their row. */
export function checkPackages({ sources }: Repository): Finding[] {
  return inProduct(sources, (source, room, name) => {
    const allowed = [...room.packages, ...(isTest(source.path) ? testPackages : [])];
    return source.imports
      .map((entry) => ({ ...entry, owner: packageOf(entry.specifier) }))
      .filter(({ owner }) => owner !== undefined && !allowed.includes(owner))
      .map(({ owner, line }) => ({
        path: source.path,
        line,
        what: `${name} uses the package ${owner}: ${allowed.join(", ") || "no package"} may be used there`,
      }));
  });
}

/** No file reaches itself through its imports, types included. */
export function checkCycles({ sources }: Repository): Finding[] {
  const edges = new Map(
    sources.map((source) => [
      source.path,
      source.imports.flatMap((entry) => targetOf(source.path, entry) ?? []),
    ]),
  );
  const done = new Set<string>();
  const findings: Finding[] = [];
  const visit = (path: string, trail: readonly string[]) => {
    const from = trail.indexOf(path);
    if (from !== -1) {
      findings.push({ path, line: 1, what: `cycle: ${[...trail.slice(from), path].join(" → ")}` });
      return;
    }
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return findings;
}

/** Every import of ours names a file that exists. */
export function checkTargets({ sources, paths }: Repository): Finding[] {
  return sources.flatMap((source) =>
    source.imports.flatMap((entry) => {
      const target = targetOf(source.path, entry);
      if (target === undefined || paths.has(target)) return [];
      return [{ path: source.path, line: entry.line, what: `imports ${target}, which does not exist` }];
    }),
  );
}

function inProduct(
  sources: readonly Source[],
  check: (source: Source, room: Room, name: string) => Finding[],
): Finding[] {
  return sources.flatMap((source) => {
    const name = roomOf(source.path);
    if (name === undefined) return [];
    const room = rooms[name.replace(/\.test\.ts$/, ".ts")];
    if (room === undefined)
      return [{ path: source.path, line: 1, what: `src/${name} is not in the table of rooms` }];
    return check(source, room, name);
  });
}

function targetOf(path: string, { specifier }: Import): string | undefined {
  return specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : undefined;
}

/** The npm package of a specifier; undefined for our own files, Node's and Bun's modules. `bun:test` is one for tests. */
function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith(".") || specifier.startsWith("node:") || specifier === "bun") return undefined;
  if (specifier.startsWith("bun:")) return specifier === "bun:test" ? specifier : undefined;
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}
