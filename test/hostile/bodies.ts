/** Hostile bodies from a seed: valid requests of both eras, and what a thousand broken or clever clients make of them. */
import type { Random } from "../../src/base/random.ts";

/** One request to send. */
export type Hostile = {
  /** Header lines beyond the usual ones. */
  readonly lines: readonly string[];
  readonly bytes: Buffer;
  /** What was done to it, for whoever has to understand a failure. */
  readonly how: string;
};

type Members = [name: string, value: string][];
type Draft = { modern: boolean; top: Members; params: Members; lines: string[]; how: string[] };

const methods = [
  ...[
    "tools/call",
    "tools/call",
    "tools/call",
    "tools/list",
    "ping",
    "initialize",
    "server/discover",
    "prompts/list",
  ],
  ...[
    "resources/read",
    "notifications/cancelled",
    "notifications/initialized",
    "subscriptions/listen",
    "no/such",
  ],
  ...[
    "__proto__",
    "constructor",
    "toString",
    "TOOLS/CALL",
    "tools/call ",
    "tools\u2044call",
    "",
    "rpc.discover",
  ],
];
const toolNames = [
  "alpha",
  "beta",
  "gamma",
  "unknown",
  "__proto__",
  "ALPHA",
  "alpha\u0000",
  "alpha\\u0000",
  "gаmma",
  "",
];
const ids = [
  ...[
    "1",
    "0",
    "-1",
    "-0",
    '"a"',
    '""',
    "12345678901234567890",
    "9007199254740993",
    "1e2",
    "1E+2",
    "1.0",
    "1.5",
    "1e400",
  ],
  ...[
    "null",
    "true",
    "{}",
    "[]",
    "[1]",
    '"\\ud800"',
    '"\\u0000"',
    '"\\u0061"',
    `"${"i".repeat(10_000)}"`,
    `1${"0".repeat(300)}`,
  ],
  ...['"\\"}"', '"},{"', "-", "01", "+1", "0x10", "NaN", "1_000"],
];
const values = [
  ...[
    "null",
    "true",
    "0",
    '""',
    "{}",
    "[]",
    '"x"',
    "1e999",
    "-1e-999",
    `1${"0".repeat(400)}`,
    '"\\ud800\\udc00"',
    '"\\udc00"',
  ],
  ...[
    '{"__proto__":{"name":"gamma"}}',
    '{"name":"gamma"}',
    '[{"name":"gamma"}]',
    '"\\u0000\\u001f"',
    "0.1e1",
    '{"a":{"a":1,"a":2}}',
  ],
];
const watched = ["jsonrpc", "method", "params", "id", "name", "arguments", "_meta"];
const modernMeta =
  '{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
const badBytes = [
  ...[
    [0xff],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf8, 0x88, 0x80, 0x80, 0x80],
    [0xe2, 0x82],
    [0xef, 0xbb, 0xbf],
    [0x00],
  ],
  ...[[0x0b], [0xc2, 0xa0], [0xe2, 0x80, 0xa8], [0x5c], [0x22], [0x7b], [0x7d], [0x2c], [0x80]],
];

/** Draws from chance. */
class Draw {
  readonly #random: Random;
  constructor(random: Random) {
    this.#random = random;
  }
  below(count: number): number {
    return Math.floor(this.#random.fraction() * count);
  }
  chance(share: number): boolean {
    return this.#random.fraction() < share;
  }
  from<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("Drew from an empty list");
    return item;
  }
  bytes(count: number): Uint8Array {
    return this.#random.bytes(count);
  }
}

/** The next hostile request. */
export function nextHostile(random: Random): Hostile {
  const draw = new Draw(random);
  const draft = draftOf(draw);
  for (let rounds = draw.below(3); rounds > 0; rounds -= 1) draw.from(changes)(draft, draw);
  const bytes = bytewise(Buffer.from(textOf(draft, draw)), draft, draw);
  return { lines: draft.lines, bytes, how: draft.how.join(", ") || "as it should be" };
}

function draftOf(draw: Draw): Draft {
  const modern = draw.chance(0.5);
  const method = draw.chance(0.5) ? "tools/call" : draw.from(methods);
  const name = draw.chance(0.5) ? "alpha" : draw.from(toolNames);
  const params: Members = [
    ["name", JSON.stringify(name)],
    ["arguments", draw.chance(0.8) ? '{"a":1}' : draw.from(values)],
  ];
  if (modern) params.push(["_meta", modernMeta]);
  const top: Members = [
    ["jsonrpc", '"2.0"'],
    ["id", draw.chance(0.8) ? String(draw.below(1_000_000)) : draw.from(ids)],
    ["method", JSON.stringify(method)],
  ];
  const lines = modern
    ? ["MCP-Protocol-Version: 2026-07-28", `Mcp-Method: ${method}`, `Mcp-Name: ${mirrored(name, draw)}`]
    : [];
  // What does not fit a header line is left out there: it must not break the request itself.
  return { modern, top, params, lines: lines.filter((line) => /^[\x20-\x7e]*$/.test(line)), how: [] };
}

function mirrored(name: string, draw: Draw): string {
  const other = draw.chance(0.1) ? draw.from(toolNames) : name;
  return draw.chance(0.2) ? `=?base64?${Buffer.from(other).toString("base64")}?=` : other;
}

type Change = (draft: Draft, draw: Draw) => void;
const changes: readonly Change[] = [
  (draft, draw) => {
    const [name, value] = draw.from([...draft.top, ...draft.params]);
    const twin = draw.chance(0.5)
      ? value
      : draw.from([...values, '"tools/call"', '"gamma"', '{"name":"gamma"}']);
    draw.from([draft.top, draft.params]).splice(draw.below(4), 0, [spelled(name, draw), twin]);
    draft.how.push(`another ${name}`);
  },
  (draft, draw) => {
    const members = draw.from([draft.top, draft.params]);
    const at = draw.below(members.length);
    const [name = "", value = ""] = members[at] ?? [];
    members[at] = [spelled(name, draw), value];
    draft.how.push(`${name} spelled otherwise`);
  },
  (draft, draw) => {
    const members = draw.from([draft.top, draft.params]);
    const [gone] = members.splice(draw.below(members.length), 1);
    draft.how.push(`without ${gone?.[0]}`);
  },
  (draft, draw) => {
    const members = draw.from([draft.top, draft.params]);
    const at = draw.below(members.length);
    const [name = ""] = members[at] ?? [];
    members[at] = [name, draw.from([...values, ...ids])];
    draft.how.push(`${name} of another kind`);
  },
  (draft, draw) => {
    const depth = draw.from([5, 29, 30, 31, 32, 33, 100, 2_000]);
    const [open, close] = draw.from([
      ["[", "]"],
      ['{"name":', "}"],
    ] as const);
    draft.params.push(["deep", `${open.repeat(depth)}1${close.repeat(depth)}`]);
    draft.how.push(`${depth} levels`);
  },
  (draft, draw) => {
    draft.top.push(
      draw.from([
        ["result", "{}"],
        ["error", '{"code":1,"message":"m"}'],
        ["params", '{"name":"gamma"}'],
        ["x", '"y"'],
      ]),
    );
    draft.how.push("one member more");
  },
  (draft, draw) => {
    draft.lines.splice(
      draw.below(3),
      draw.below(2),
      draw.from([
        ...[
          "Mcp-Method: tools/list",
          "Mcp-Name: gamma",
          "Mcp-Name: beta",
          "MCP-Protocol-Version: 2025-11-25",
          "Mcp-Method:",
        ],
        ...[
          "MCP-Protocol-Version: 2099-01-01",
          "Mcp-Session-Id: forged.forged",
          "Mcp-Session-Id: AAAA",
          "Mcp-Param-A: 1",
          "Cookie: a=b",
        ],
      ]),
    );
    draft.how.push("other headers");
  },
  (draft, draw) => {
    const size = draw.from([100, 5_000, 70_000]);
    draft.params.push(["pad", JSON.stringify("é".repeat(size))]);
    draft.how.push(`${size} more`);
  },
];

function spelled(name: string, draw: Draw): string {
  const at = draw.below(Math.max(1, name.length));
  const code = name.charCodeAt(at).toString(16).padStart(4, "0");
  return draw.from([
    name,
    name.toUpperCase(),
    name.slice(0, 1).toUpperCase() + name.slice(1),
    // An escape is the same name, written so that a search for its text misses it.
    `${name.slice(0, at)}\\u${code}${name.slice(at + 1)}`,
    name.replace("s", "\u017f"),
    `${name}\\u0000`,
    ` ${name}`,
    draw.from(watched),
  ]);
}

function textOf({ top, params }: Draft, draw: Draw): string {
  const gap = draw.chance(0.1) ? draw.from([" ", "\n", "\t", "\r\n", "  "]) : "";
  const object = (members: Members) =>
    `{${gap}${members.map(([name, value]) => `"${name}"${gap}:${gap}${value}`).join(`${gap},`)}${gap}}`;
  const all: Members = [...top, ["params", object(params)]];
  const text = object(draw.chance(0.2) ? all.reverse() : all);
  return draw.chance(0.02) ? `[${text}]` : text;
}

/** Two of three stay as they are. */
function bytewise(bytes: Buffer, draft: Draft, draw: Draw): Buffer {
  const kind = draw.below(20);
  if (kind > 5) return bytes;
  const at = draw.below(bytes.length + 1);
  const [what, changed] = (
    [
      ["cut short", bytes.subarray(0, at)],
      ["one byte changed", Buffer.concat([bytes.subarray(0, at), draw.bytes(1), bytes.subarray(at + 1)])],
      [
        "bad bytes inside",
        Buffer.concat([bytes.subarray(0, at), Buffer.from(draw.from(badBytes)), bytes.subarray(at)]),
      ],
      ["bad bytes first", Buffer.concat([Buffer.from(draw.from(badBytes)), bytes])],
      ["more after the end", Buffer.concat([bytes, draw.chance(0.5) ? bytes : draw.bytes(3)])],
      ["noise", Buffer.from(draw.bytes(draw.below(300)))],
    ] as const
  )[kind] ?? ["", bytes];
  draft.how.push(what);
  return changed;
}
