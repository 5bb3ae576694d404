/**
 * The agents of the drill: official SDK clients of both eras that call and list without end, and write down what
 * became of everything they asked.
 */
import { ProtocolError } from "@modelcontextprotocol/client";
import { type Clock, sleep } from "../../src/base/clock.ts";
import { connectWitness, type Era, type Target, type Witness } from "../../test/fixtures/sdk-client.ts";

/** How a call ended. `told`: a tool result that says in words what is wrong. */
export type CallEnd = "ok" | "told" | "transport" | "protocol";

export type Agent = {
  readonly era: Era;
  /** Undefined when it could not connect at all. */
  readonly witness: Witness | undefined;
  readonly calls: { beganMs: number; endedMs: number; end: CallEnd; text: string }[];
  /** Answers to tools/list: those that failed, and those in which a tool was missing that is always there. */
  readonly lists: { asked: number; failed: number; short: number };
};

/** Tools that are there whatever happens. */
const always = ["echo", "look"];
/** Pause between two calls of one agent, ms, and after how many calls it asks for the list. */
const paceMs = 60;
const listEvery = 3;

/** An agent that has tried to connect; `stop` of the drill ends its work. */
export async function enlist(target: Target, era: Era): Promise<Agent> {
  const witness = await connectWitness(target, era).catch(() => undefined);
  return { era, witness, calls: [], lists: { asked: 0, failed: 0, short: 0 } };
}

export type Work = {
  readonly clock: Clock;
  readonly stop: AbortSignal;
  /** While this holds nobody asks for the list: who has just seen a change need not be told of it. */
  quiet(): boolean;
  /** After so long a call is given up by its client, ms. */
  readonly callTimeoutMs: number;
};

/** Calls and lists until it is stopped. A failure is noted, never thrown. */
export async function work(agent: Agent, { clock, stop, quiet, callTimeoutMs }: Work): Promise<void> {
  const { witness } = agent;
  if (witness === undefined) return;
  for (let count = 1; !stop.aborted; count += 1) {
    await callOnce(agent, witness, { clock, text: `call ${count}`, callTimeoutMs });
    if (count % listEvery === 0 && !stop.aborted && !quiet()) await listOnce(agent, witness);
    await sleep(clock, paceMs, stop);
  }
}

type Once = { clock: Clock; text: string; callTimeoutMs: number };

async function callOnce(
  { calls }: Agent,
  witness: Witness,
  { clock, text, callTimeoutMs }: Once,
): Promise<void> {
  const beganMs = clock.monotonic();
  const note = (end: CallEnd, words: string) =>
    void calls.push({ beganMs, endedMs: clock.monotonic(), end, text: words });
  try {
    const told = await witness.call("echo", { text }, callTimeoutMs);
    note(told.isError || told.text !== text ? "told" : "ok", told.text);
  } catch (error) {
    note(error instanceof ProtocolError ? "protocol" : "transport", String(error));
  }
}

async function listOnce({ lists }: Agent, witness: Witness): Promise<void> {
  lists.asked += 1;
  try {
    const names = await witness.toolNames();
    if (!always.every((name) => names.includes(name))) lists.short += 1;
  } catch {
    lists.failed += 1;
  }
}
