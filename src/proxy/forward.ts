/**
 * Forwarding one request: the bytes as they came, allowed headers only, the live token; JSON or SSE back. A stream
 * that was begun always ends with a JSON-RPC response, whatever becomes of the upstream.
 */

import { sleep } from "../base/clock.ts";
import { HttpFailure, type HttpResponse } from "../base/http/exchange.ts";
import { SseTooLarge, sseEvents } from "../base/http/sse.ts";
import { type JsonObject, type RawId, rpcCode } from "../wire/jsonrpc.ts";
import { type Answer, finalAnswer, respond, settle, unreachableAnswer } from "./answer.ts";
import type { Ask, Outgoing } from "./ask.ts";
import type { Core } from "./core.ts";
import { finalMessage, isResponseTo, parseObject } from "./final.ts";
import { legacy } from "./legacy.ts";
import { modern } from "./modern.ts";
import { listChanged } from "./sessions.ts";
import { type DownStream, messageEvent, openStream } from "./streams.ts";
import type { HeaderList, UpstreamAnswer } from "./upstream-call.ts";

export type ForwardOptions = {
  /** Longest wait for the whole answer, ms. */
  readonly deadlineMs: number;
  /** Twice is harmless. */
  readonly repeatable: boolean;
  /** The agent's going away ends it. */
  readonly cancels: boolean;
  /** Open the stream to the agent when the upstream is silent for long. */
  readonly early: boolean;
  readonly extraHeaders?: HeaderList;
};

const noHeaders: HeaderList = [];

/** Forwards and answers. Never rejects for what an upstream or an agent does. */
export async function forward(core: Core, ask: Ask, options: ForwardOptions): Promise<Response> {
  const answering = untilClosed(core, send(core, ask, options));
  if (!options.early || !ask.wantsStream) return answerWith(core, ask, { answer: await answering, options });
  const silent = Symbol("silent");
  let stop = () => {};
  const patience = new Promise<typeof silent>((resolve) => {
    stop = core.options.clock.after(core.options.limits.earlyStreamMs, () => resolve(silent));
  });
  const first = await Promise.race([answering, patience]);
  stop();
  if (first !== silent) return answerWith(core, ask, { answer: first, options });
  const stream = openStream(core.options);
  track(
    core,
    answering.then((answer) => intoStream(core, ask, { answer, options, stream })),
  );
  return stream.response;
}

/** The answer, or that of an endpoint that is closing. */
function untilClosed(core: Core, answering: Promise<UpstreamAnswer>): Promise<UpstreamAnswer> {
  return new Promise((resolve, reject) => {
    const end = () => resolve({ kind: "unreachable", cause: "the proxy is shutting down", ran: "unknown" });
    core.waiting.add(end);
    answering.then(resolve, reject).finally(() => core.waiting.delete(end));
  });
}

/** A task that goes on after its response was returned. */
function track(core: Core, task: Promise<void>): void {
  task.catch((error: unknown) => core.options.log.error("a stream ended by a fault", { error }));
}

/** The request in the era of the upstream: as it came when it speaks the agent's, else translated. */
function outgoing(core: Core, ask: Ask): Outgoing {
  if (core.upstream.eras[ask.era.name] !== false) return ask.era.outgoing(ask);
  return (ask.era.name === "modern" ? legacy : modern).translate(core, ask);
}

async function send(core: Core, ask: Ask, options: ForwardOptions): Promise<UpstreamAnswer> {
  const isModern = ask.era.name === "modern";
  if (isModern && core.upstream.eras.modern === undefined) await core.control.discover();
  for (let round = 0; ; round += 1) {
    const known = core.upstream.eras[ask.era.name];
    const { headers, body, session } = outgoing(core, ask);
    const answer = await core.upstream.send({
      headers: [...headers, ...(options.extraHeaders ?? noHeaders)],
      body,
      session,
      signal: options.cancels ? ask.signal : undefined,
      deadlineMs: options.deadlineMs,
      retryMs: core.options.limits.callRetryMs,
      repeatable: options.repeatable,
    });
    if (round === 0 && isModern && known === true && refusesModern(answer)) await core.control.discover();
    // The refusal may have shown that the upstream does not speak the agent's era: nothing was done then.
    if (round === 0 && known !== false && core.upstream.eras[ask.era.name] === false) continue;
    return answer;
  }
}

/** True when a modern request was refused in a way in which only a server of the other era refuses it. */
function refusesModern(answer: UpstreamAnswer): boolean {
  if (answer.kind !== "refused" || ![400, 404, 405].includes(answer.status)) return false;
  const code = answer.error?.code;
  return (
    code === undefined ||
    code === rpcCode.invalidRequest ||
    (Number(code) <= -32000 && Number(code) >= -32019)
  );
}

type Arrived = { answer: UpstreamAnswer; options: ForwardOptions };

async function answerWith(core: Core, ask: Ask, { answer, options }: Arrived): Promise<Response> {
  if (answer.kind !== "stream") return respond(settle(core, ask, answer));
  if (!ask.wantsStream) {
    const message = await finalMessage(answer, ask.message.id, core.options.limits.sseEventBytesMax);
    return respond(
      message === undefined ? cut(core, ask) : finalAnswer(core, ask, withId(message, ask.message.id)),
    );
  }
  const stream = openStream(core.options);
  track(core, intoStream(core, ask, { answer, options, stream }));
  return stream.response;
}

/** The message text with the id as the agent wrote it. */
function withId(message: JsonObject, id: RawId): string {
  const { id: _, ...rest } = message;
  return `{"id":${id},${JSON.stringify(rest).slice(1)}`;
}

function cut(core: Core, ask: Ask): Answer {
  return unreachableAnswer(core, ask, { cause: "its answer ended in the middle", ran: "unknown" });
}

async function intoStream(core: Core, ask: Ask, arrived: Arrived & { stream: DownStream }): Promise<void> {
  const { answer, options, stream } = arrived;
  const end = (final: Answer) => {
    const text = typeof final.text === "string" ? final.text : Buffer.from(final.text).toString();
    const written = stream.write(messageEvent(text));
    stream.close();
    if (written && final.carried !== undefined) final.carried.done = true;
  };
  if (answer.kind !== "stream") return end(settle(core, ask, answer));
  const { clock } = core.options;
  const endsAt = clock.monotonic() + options.deadlineMs;
  let response: HttpResponse | undefined = answer.response;
  const memo: Resume = { lastId: undefined, retryMs: 1_000, closing: false };
  while (response !== undefined) {
    const current: HttpResponse = response;
    const close = () => {
      memo.closing = true;
      current.cancel();
    };
    core.waiting.add(close);
    const stop = clock.after(Math.max(0, endsAt - clock.monotonic()), () => current.cancel());
    const final = await pump(core, ask, { response: current, stream, cancels: options.cancels, memo });
    stop();
    core.waiting.delete(close);
    if (final !== undefined) return end(final);
    if (options.cancels && stream.closed) return;
    response = await resume(core, ask, { memo, endsAt });
  }
  end(cut(core, ask));
}

type Resume = { lastId: string | undefined; retryMs: number; closing: boolean };
type Pumped = { response: HttpResponse; stream: DownStream; cancels: boolean; memo: Resume };

/** Copies events until the response to the request; its answer, or undefined when the stream ends without it. */
async function pump(
  core: Core,
  ask: Ask,
  { response, stream, cancels, memo }: Pumped,
): Promise<Answer | undefined> {
  try {
    for await (const event of sseEvents(response.body, core.options.limits.sseEventBytesMax)) {
      if (event.id !== undefined && event.id !== "") memo.lastId = event.id;
      if (event.retryMs !== undefined) memo.retryMs = event.retryMs;
      if (cancels && stream.closed) return undefined;
      const { data } = event;
      if (data === undefined || data === "") continue;
      if (isFinal(data, ask.message.id)) return finalAnswer(core, ask, data);
      if (data.includes("list_changed") && absorbed(core, data)) continue;
      stream.write(messageEvent(data));
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
  ask: Ask,
  from: { memo: Resume; endsAt: number },
): Promise<HttpResponse | undefined> {
  const { clock, limits } = core.options;
  const { session } = outgoing(core, ask);
  const { memo, endsAt } = from;
  if (memo.lastId === undefined || session === undefined || memo.closing) return undefined;
  await sleep(clock, Math.min(memo.retryMs, limits.deliveryBackoffCapMs));
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
  memo.lastId = undefined;
  return answer.kind === "stream" ? answer.response : undefined;
}
