/**
 * 100,000 hostile bodies over kept connections: no crash, every answer in order, and what is forwarded is what was
 * decided on, in whatever way an upstream reads it. Again with AGENT_RELAY_TEST_SEED.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { seededRandom } from "../../src/base/random.ts";
import { decodeMirror } from "../../src/proxy/era.ts";
import { type Hostile, nextHostile } from "./bodies.ts";
import { decisionOf, memberOf, type Reading, readings, readTree } from "./members.ts";
import { type Arrived, shownTools, startVictim, type Victim } from "./victim.ts";
import { postBytes, type RawAnswer, RawConnection } from "./wire.ts";

const seed = Number(process.env.AGENT_RELAY_TEST_SEED ?? Date.now() % 1_000_000_000);
const bodies = 100_000;
const connections = 16;
const testMs = 120_000;
const residentMostMiB = 300;

let victim: Victim;
beforeAll(async () => {
  victim = await startVictim();
});
afterAll(() => victim[Symbol.asyncDispose]());

const readingNames = Object.keys(readings) as Reading[];
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What is wrong with an answer; undefined when nothing is. */
function answerFault({ bytes }: Hostile, answer: RawAnswer): string | undefined {
  const { status, headers, body } = answer;
  const type = headers.get("content-type") ?? "";
  if (![200, 202, 400, 404].includes(status)) return `status ${status}`;
  if (status === 202) return body.length === 0 ? undefined : "a 202 with a body";
  if (!type.startsWith("application/json")) {
    return status !== 200 && type.startsWith("text/plain") && body.length > 0
      ? undefined
      : `a ${status} of type "${type}"`;
  }
  const tree = readTree(utf8.decode(body));
  const get = (name: string) => memberOf(tree, name, "the last one");
  const id = get("id");
  if (id?.kind !== "scalar" || (typeof id.value !== "string" && typeof id.value !== "number"))
    return `an id that is ${id?.kind === "scalar" ? id.raw : id?.kind}`;
  const version = get("jsonrpc");
  if (version?.kind !== "scalar" || version.value !== "2.0") return "no jsonrpc";
  if ((get("result") === undefined) === (get("error") === undefined))
    return "neither one result nor one error";
  const asked = memberOf(readTree(utf8.decode(bytes)), "id", "the last one");
  return asked?.kind === "scalar" && asked.value === id.value ? undefined : `id ${id.raw}`;
}

/** What is wrong with a request that got through; undefined when nothing is. */
function forwardFault({ bytes, headers }: Arrived): string | undefined {
  if (headers.get("authorization") !== null || headers.get("cookie") !== null)
    return "the agent's own headers";
  const text = utf8.decode(bytes);
  const read = readingNames.map((reading) => decisionOf(text, reading));
  const [decision] = read;
  if (decision === undefined || new Set(read.map((one) => JSON.stringify(one))).size > 1)
    return "more than one reading";
  const { method, name } = decision;
  if (method === "tools/call" && !shownTools.includes(String(name))) return `a call of ${String(name)}`;
  if (headers.get("mcp-protocol-version") !== "2026-07-28") return undefined;
  if (headers.get("mcp-method") !== null && headers.get("mcp-method") !== method)
    return "another method in the header";
  const mirrored = headers.get("mcp-name");
  const isNamed = method === "tools/call" || method === "prompts/get";
  return isNamed && (mirrored === null || decodeMirror(mirrored) !== name)
    ? "another name in the header"
    : undefined;
}

/** A fault and everything needed to see it again. */
function told(what: string, bytes: Uint8Array, more: unknown): string {
  return `${what}: ${Buffer.from(bytes).toString("latin1").slice(0, 400)} ${JSON.stringify(more)}`;
}

type Fuzzed = { faults: string[]; statuses: Record<number, number>; reopened: number };

async function fuzz(count: number): Promise<Fuzzed> {
  const random = seededRandom(seed);
  const done: Fuzzed = { faults: [], statuses: {}, reopened: 0 };
  const usual = [
    `Host: 127.0.0.1:${victim.port}`,
    `Authorization: Bearer ${victim.secret}`,
    "Content-Type: application/json",
    "Accept: application/json",
  ];
  let left = count;
  const work = async () => {
    let connection = await RawConnection.open(victim.port);
    while (left > 0) {
      left -= 1;
      if (connection.closed) {
        connection = await RawConnection.open(victim.port);
        done.reopened += 1;
      }
      const hostile = nextHostile(random);
      const answer = await connection.ask(postBytes([...usual, ...hostile.lines], hostile.bytes));
      done.statuses[answer.status] = (done.statuses[answer.status] ?? 0) + 1;
      const fault = answerFault(hostile, answer);
      if (fault !== undefined)
        done.faults.push(
          told(`${fault} [${hostile.how}]`, hostile.bytes, answer.body.toString().slice(0, 200)),
        );
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: connections }, work));
  return done;
}

test(
  `[P3.2] ${bodies} hostile bodies: answered in order, forwarded as decided (seed ${seed})`,
  async () => {
    const { faults, statuses, reopened } = await fuzz(bodies);
    const { arrived } = victim.upstream;
    const forwarded = arrived.flatMap((one) => {
      const fault = forwardFault(one);
      return fault === undefined
        ? []
        : [
            told(
              fault,
              one.bytes,
              [...one.headers].filter(([name]) => name.startsWith("mcp-")),
            ),
          ];
    });
    console.log(
      `seed ${seed}: ${JSON.stringify(statuses)}, ${arrived.length} forwarded, ${reopened} connections opened again, ` +
        `proxy ${victim.residentMiB()} MiB resident, ${victim.peakMiB()} MiB at most`,
    );
    expect(faults.slice(0, 5)).toEqual([]);
    expect(forwarded.slice(0, 5)).toEqual([]);
    expect(victim.program.running()).toBe(true);
    expect(victim.log()).toBe("");
    // Bodies that are all refused would prove nothing about what is forwarded.
    expect(arrived.length).toBeGreaterThan(bodies / 10);
    expect(victim.peakMiB()).toBeLessThan(residentMostMiB);
  },
  testMs,
);
