/** The world comes in through arguments: which files may touch time, chance, network, disk, children, environment. */
import type { Source } from "./facts.ts";
import { isTest } from "./layers.ts";
import type { Finding, Repository } from "./repository.ts";

/** One part of the world, how it looks in a text, and the only places where it may be touched. */
type Gate = {
  readonly what: string;
  /** Globals, as facts.ts writes them; a name ending in `.` stands for all its members. */
  readonly uses?: readonly string[];
  /** Modules; `type` imports are always allowed. */
  readonly modules?: readonly string[];
  /** Names imported from any module. */
  readonly names?: readonly string[];
  readonly places: readonly RegExp[];
};

const front = /^src\/(?:cli\/|runner\.ts|server\.ts|host\.ts)/;

/** Every part of the world and its gate. */
export const gates: readonly Gate[] = [
  {
    what: "time",
    uses: [
      "Date.now",
      "new Date()",
      "performance.now",
      "setTimeout",
      "setInterval",
      "Bun.sleep",
      "Bun.nanoseconds",
      "process.hrtime",
    ],
    modules: ["node:timers", "node:timers/promises", "node:perf_hooks"],
    places: [/^src\/base\/clock\.ts$/],
  },
  {
    what: "chance",
    uses: ["Math.random", "crypto.getRandomValues", "crypto.randomUUID", "Bun.randomUUIDv7"],
    names: ["randomBytes", "randomUUID", "randomInt", "randomFillSync", "getRandomValues"],
    places: [/^src\/base\/random\.ts$/],
  },
  {
    what: "the environment",
    uses: ["process.env", "Bun.env", "import.meta.env", "process.argv", "Bun.argv"],
    places: [front],
  },
  {
    what: "the process's own end and output",
    uses: [
      "process.exit",
      "process.stdout",
      "process.stderr",
      "process.stdin",
      "process.on",
      "process.once",
      "console.",
    ],
    places: [front],
  },
  {
    what: "child processes",
    uses: ["Bun.spawn", "Bun.spawnSync", "Bun.$", "process.kill"],
    modules: ["node:child_process"],
    places: [/^src\/base\/process\.ts$/],
  },
  { what: "SQLite", modules: ["bun:sqlite"], places: [/^src\/base\/sqlite\.ts$/] },
  {
    what: "listening sockets",
    uses: ["Bun.serve", "Bun.listen"],
    places: [/^src\/base\/http\/(?:listen|server)\.ts$/, /^src\/runner\/control\.ts$/],
  },
  {
    what: "outgoing connections",
    uses: ["Bun.connect", "fetch", "new WebSocket(…)"],
    modules: ["node:net", "node:tls", "node:http", "node:https", "node:http2", "node:dgram"],
    places: [
      /^src\/base\/http\//,
      /^src\/base\/unix-socket\.ts$/,
      /^src\/sdk\/call\.ts$/,
      /^src\/sdk\/feed\.ts$/,
      /^src\/runner\/ask-control\.ts$/,
    ],
  },
  {
    what: "the disk",
    uses: ["Bun.file", "Bun.write"],
    modules: ["node:fs", "node:fs/promises", "bun:ffi"],
    places: [front, /^src\/(?:base|agent|inbox|outbox|runner|host|workspace|store)\//],
  },
  {
    what: "text that runs as code",
    uses: ["eval", "require", "new Function(…)", "Bun.plugin"],
    modules: ["node:vm", "node:module"],
    places: [],
  },
];

/** Files of the product touch the world only where the table says. */
export function checkWorld({ sources }: Repository): Finding[] {
  return sources
    .filter(({ path }) => path.startsWith("src/") && !isTest(path))
    .flatMap((source) => gates.flatMap((gate) => touches(source, gate)));
}

function touches(source: Source, gate: Gate): Finding[] {
  if (gate.places.some((place) => place.test(source.path))) return [];
  const found: { line: number; text: string }[] = [];
  for (const use of source.uses)
    if (gate.uses?.some((one) => one === use.text || (one.endsWith(".") && use.text.startsWith(one))))
      found.push(use);
  for (const { specifier, names, typeOnly, line } of source.imports) {
    if (typeOnly) continue;
    if (gate.modules?.includes(specifier)) found.push({ line, text: specifier });
    for (const name of names) if (gate.names?.includes(name)) found.push({ line, text: name });
  }
  return found.map(({ line, text }) => ({
    path: source.path,
    line,
    what: `${text} touches ${gate.what} in the wrong file`,
  }));
}
