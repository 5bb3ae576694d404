/**
 * An upstream answer on its way into a stream to the agent: event by event, resumed where the upstream allows it, and
 * ended with a JSON-RPC response in every case.
 */
import { sleep } from "../base/clock.ts";
import { HttpFailure, type HttpResponse } from "../base/http/exchange.ts";
import { SseTooLarge, sseEvents } from "../base/http/sse.ts";
import { type Answer, finalAnswer, settle, unreachableAnswer } from "./answer.ts";
import type { Ask, Outgoing } from "./ask.ts";
import type { CallStream } from "./call-streams.ts";
import type { Core } from "./core.ts";
import { isResponseTo, parseObject } from "./final.ts";
import { listChanged } from "./sessions.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

export type IntoStream = {
  readonly answer: UpstreamAnswer;
  readonly stream: CallStream;
  /** The request as it went upstream, for taking its stream up again; undefined when it never left. */
  readonly outgoing: Outgoing | undefined;
  /** Longest wait for the end of the answer, ms. */
  readonly deadlineMs: number;
  /** The agent's going away ends it. */
  readonly cancels: boolean;
};

/** The answer of a call whose upstream answer broke off. */
export function cut(core: Core, ask: Ask): Answer {
  return unreachableAnswer(core, ask, { cause: "its answer ended in the middle", ran: "unknown" });
}

/** The answer of a call whose upstream answer cannot be held, where it would have to be. */
export function tooLarge(core: Core, ask: Ask, { rest }: Extract<UpstreamAnswer, { kind: "large" }>): Answer {
  rest.cancel();
  const cause = `its answer is larger than ${core.options.limits.sseEventBytesMax} bytes`;
  return unreachableAnswer(core, ask, { cause, ran: "unknown" });
}

/** Copies an answer into a stream, to its end. */
export async function intoStream(core: Core, ask: Ask, arrived: IntoStream): Promise<void> {
  const { answer, stream, cancels } = arrived;
  const end = (final: Answer) => {
    stream.message(typeof final.text === "string" ? final.text : Buffer.from(final.text).toString());
    stream.close(final.carried);
  };
  if (answer.kind === "large") return end(tooLarge(core, ask, answer));
  if (answer.kind !== "stream") return end(settle(core, ask, answer));
  const { clock } = core.options;
  const endsAt = clock.monotonic() + arrived.deadlineMs;
  let response: HttpResponse | undefined = answer.response;
  const memo: Resume = { lastId: undefined, retryMs: 1_000, fruitless: 0, closing: false };
  while (response !== undefined) {
    const current: HttpResponse = response;
    const close = () => {
      memo.closing = true;
      current.cancel();
    };
    const waiter = core.waiting.add(close);
    const stop = clock.after(Math.max(0, endsAt - clock.monotonic()), () => current.cancel());
    const final = await pump(core, ask, { response: current, stream, cancels, memo });
    stop();
    core.waiting.delete(waiter);
    if (final !== undefined) return end(final);
    if (cancels && stream.closed) return;
    response = await resume(core, { memo, endsAt, outgoing: arrived.outgoing });
  }
  end(cut(core, ask));
}

type Resume = {
  lastId: string | undefined;
  retryMs: number;
  /** Streams in a row that brought nothing. */
  fruitless: number;
  closing: boolean;
};
type Pumped = { response: HttpResponse; stream: CallStream; cancels: boolean; memo: Resume };

/** Copies events until the response to the request; its answer, or undefined when the stream ends without it. */
async function pump(
  core: Core,
  ask: Ask,
  { response, stream, cancels, memo }: Pumped,
): Promise<Answer | undefined> {
  try {
    for await (const event of sseEvents(response.body, core.options.limits.sseEventBytesMax)) {
      memo.fruitless = 0;
      if (event.id !== undefined && event.id !== "") memo.lastId = event.id;
      if (event.retryMs !== undefined) memo.retryMs = event.retryMs;
      if (cancels && stream.closed) return undefined;
      const { data } = event;
      if (data === undefined || data === "") continue;
      if (isFinal(data, ask.message.id)) return finalAnswer(core, ask, data);
      if (data.includes("list_changed") && absorbed(core, data)) continue;
      stream.message(data);
    }
  } catch (error) {
    if (error instanceof SseTooLarge) {
      return unreachableAnswer(core, ask, { cause: error.message, ran: "unknown" });
    }
    if (!(error instanceof HttpFailure)) throw error;
  } finally {
    response.cancel();
  }
  return undefined;
}

function isFinal(data: string, id: string): boolean {
  if (!data.includes('"result"') && !data.includes('"error"')) return false;
  const message = parseObject(data);
  return message !== undefined && isResponseTo(message, id);
}

/** List changes are told by the proxy itself, when what it shows has changed. */
function absorbed(core: Core, data: string): boolean {
  const method = parseObject(data)?.method;
  if (!Object.values<unknown>(listChanged).includes(method)) return false;
  core.upstreamNotified(String(method));
  return true;
}

/** Goes on with a legacy stream that the upstream closed after it had given event ids (MCP 2025-11-25 transports). */
async function resume(
  core: Core,
  from: { memo: Resume; endsAt: number; outgoing: Outgoing | undefined },
): Promise<HttpResponse | undefined> {
  const { clock, limits } = core.options;
  const { memo, endsAt } = from;
  const session = from.outgoing?.session;
  if (memo.lastId === undefined || session === undefined || memo.closing) return undefined;
  const pauseMs = Math.max(1, memo.retryMs) * 2 ** memo.fruitless;
  memo.fruitless += 1;
  await sleep(clock, Math.min(pauseMs, limits.deliveryBackoffCapMs));
  const left = endsAt - clock.monotonic();
  if (left <= 0) return undefined;
  const answer = await core.upstream.send({
    method: "GET",
    headers: [
      ["Accept", "text/event-stream"],
      ["Last-Event-ID", memo.lastId],
    ],
    session,
    deadlineMs: left,
    retryMs: limits.callRetryMs,
    repeatable: true,
  });
  return answer.kind === "stream" ? answer.response : undefined;
}
