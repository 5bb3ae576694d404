/**
 * An agent of the rig: a plain MCP client that speaks raw HTTP to its endpoint, keeps a ledger, and repeats a call
 * whose answer it did not get, as clients do. It knows nothing of relay or outbox.
 */
import { z } from "zod";
import { noticeReasons, receiptSchema } from "../../../src/wire/receipt.ts";
import { bodyOf, type Journal, type Line, type LineOf } from "./ledger.ts";

/** Where the endpoint is now: a restarted runner keeps address and secret. */
export type Address = { url: string; secret: string };

/** One write. Without a key and without a call id the client gives the product nothing to know it by. */
export type Write = {
  n: number;
  to: string;
  key?: string;
  callId?: string;
  padding?: string;
  /** Another text than that of its number. */
  body?: string;
};

export type AgentOptions = {
  name: string;
  address: () => Address;
  ledger: Journal<Line>;
  /** Odd lanes speak legacy, even ones modern. */
  era: "legacy" | "modern";
  /** After a call without an answer it waits this long, ms. */
  againMs?: number;
};

type Result = { content: { type: string; text?: string }[]; structuredContent?: unknown; isError?: boolean };

const answerSchema = z.object({
  result: z.object({
    content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
    structuredContent: z.unknown().optional(),
    isError: z.boolean().optional(),
  }),
});

/** A call is given up by then, ms: far beyond the product's own bound. */
const callMs = 30_000;

export class Agent {
  readonly options: AgentOptions;
  readonly #stop = new AbortController();
  /** Answers so far. */
  toldCount = 0;
  #nextId = 1;

  constructor(options: AgentOptions) {
    this.options = options;
  }

  get name(): string {
    return this.options.name;
  }

  /** No further call is begun; one under way is given up. */
  stop(): void {
    this.#stop.abort();
  }

  /** Makes the write until it is answered; undefined when the agent was stopped before. */
  async write(write: Write, aborts?: AbortSignal): Promise<LineOf<"told"> | undefined> {
    while (!this.#stop.signal.aborted) {
      const told = await this.tryWrite(write, aborts);
      if (told !== undefined || aborts?.aborted === true) return told;
      await Bun.sleep(this.options.againMs ?? 15);
    }
    return undefined;
  }

  /** Makes the write once. */
  async tryWrite(write: Write, aborts?: AbortSignal): Promise<LineOf<"told"> | undefined> {
    const { ledger, name } = this.options;
    const { n, to, key, callId } = write;
    ledger.append({ type: "intent", n });
    const startedAt = performance.now();
    const result = await this.#call(
      "relay_send_message",
      {
        arguments: {
          to,
          body: write.body ?? bodyOf(name, n, write.padding),
          ...(key === undefined ? {} : { idempotencyKey: key }),
        },
        ...(callId === undefined ? {} : { _meta: { "claudecode/toolUseId": callId } }),
      },
      aborts,
    ).catch((error: unknown) => String(error));
    if (typeof result === "string") {
      ledger.append({ type: "gone", n, text: result.slice(0, 200) });
      return undefined;
    }
    const facts = receiptSchema.parse(result.structuredContent);
    const told: LineOf<"told"> = {
      type: "told",
      n,
      delivery: facts.delivery,
      messageId: facts.messageId,
      ...(facts.reason === undefined ? {} : { reason: facts.reason }),
      replayed: facts.replayed === true,
      tookMs: Math.round(performance.now() - startedAt),
    };
    ledger.append(told, ...noticesIn(result));
    this.toldCount += 1;
    return told;
  }

  /** Any call that is no write: what its result shows of notices goes into the ledger. */
  async look(): Promise<Result | undefined> {
    const result = await this.#call("relay_check_messages", { arguments: {} }).catch(() => undefined);
    if (result !== undefined) this.options.ledger.append(...noticesIn(result));
    return result;
  }

  async #call(name: string, params: Record<string, unknown>, aborts?: AbortSignal): Promise<Result> {
    const { address, era } = this.options;
    const { url, secret } = address();
    const id = this.#nextId++;
    const modern = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const meta = { ...(era === "modern" ? modern : {}), ...(params._meta as object | undefined) };
    const signals = [
      AbortSignal.timeout(callMs),
      this.#stop.signal,
      ...(aborts === undefined ? [] : [aborts]),
    ];
    const response = await fetch(url, {
      method: "POST",
      signal: AbortSignal.any(signals),
      headers: {
        authorization: `Bearer ${secret}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        ...(era === "modern"
          ? { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": name }
          : {}),
      },
      body: JSON.stringify({
        jsonrpc: "2.0",
        id,
        method: "tools/call",
        params: { name, ...params, ...(Object.keys(meta).length === 0 ? {} : { _meta: meta }) },
      }),
    });
    const text = await response.text();
    const json = text.startsWith("{")
      ? text
      : (text
          .match(/^data: (\{.*)$/gm)
          ?.at(-1)
          ?.slice(6) ?? "{}");
    const parsed = answerSchema.safeParse(JSON.parse(json));
    if (!parsed.success) throw new Error(`HTTP ${response.status}: ${text.slice(0, 200)}`);
    return parsed.data.result as Result;
  }
}

const noticePattern = /^- (\w+): \S+(?: to \S+)?, message ([0-9a-f-]{36}): /gm;

/** The notices that a result carries. */
export function noticesIn(result: Result): LineOf<"notice">[] {
  return result.content
    .map(({ text }) => text ?? "")
    .filter((text) => text.startsWith("[agent-relay notices"))
    .flatMap((text) => [...text.matchAll(noticePattern)])
    .map(([, reason, messageId]) => ({
      type: "notice",
      reason: z.enum(noticeReasons).parse(reason),
      messageId: messageId ?? "",
    }));
}
