/**
 * Forwarding one request: the bytes as they came, allowed headers only, the live token; JSON or SSE back. A stream
 * that was begun always ends with a JSON-RPC response, whatever becomes of the upstream.
 */
import { HttpFailure } from "../base/http/exchange.ts";
import { type JsonObject, type RawId, rpcCode } from "../wire/jsonrpc.ts";
import { finalAnswer, mustRewrite, type Outcome, settle } from "./answer.ts";
import type { Ask, Outgoing } from "./ask.ts";
import type { CallStream } from "./call-streams.ts";
import type { Core } from "./core.ts";
import { finalMessage } from "./final.ts";
import { cut, intoStream, tooLarge } from "./into-stream.ts";
import { legacy } from "./legacy.ts";
import { modern } from "./modern.ts";
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

/** Forwards and answers. Never rejects for what an upstream or an agent does. */
export function forward(core: Core, ask: Ask, options: ForwardOptions): Promise<Outcome> {
  const { clock, limits } = core.options;
  return new Promise((resolve, reject) => {
    let early: CallStream | undefined;
    let waits = true;
    const stop =
      options.early && ask.wantsStream
        ? clock.after(limits.earlyStreamMs, () => {
            early = core.callStreams.open(ask);
            resolve("streaming");
          })
        : undefined;
    const take = (answer: UpstreamAnswer) => {
      if (!waits) return;
      waits = false;
      stop?.();
      core.waiting.delete(waiter);
      if (early !== undefined) toStream(core, ask, { answer, options, stream: early });
      else resolve(answerWith(core, ask, { answer, options }));
    };
    const close = () => take({ kind: "unreachable", cause: "the proxy is shutting down", ran: "unknown" });
    const waiter = core.waiting.add(close);
    send(core, ask, options).then(take, (error: unknown) => {
      close();
      reject(error);
    });
  });
}

/** Goes on after the response was begun. */
function toStream(core: Core, ask: Ask, { answer, options, stream }: Arrived & { stream: CallStream }): void {
  const { deadlineMs, cancels } = options;
  const arrived = { answer, stream, deadlineMs, cancels, outgoing: ask.sent?.outgoing };
  intoStream(core, ask, arrived).catch((error: unknown) =>
    core.options.log.error("a stream ended by a fault", { error }),
  );
}

/** The request in the era of the upstream: as it came when it speaks the agent's, else translated. */
function outgoing(core: Core, ask: Ask): Outgoing {
  const bridged = core.upstream.eras[ask.era.name] === false;
  const other = ask.era.name === "modern" ? legacy : modern;
  const made = bridged ? other.translate(core, ask) : ask.era.outgoing(ask);
  ask.sent = { outgoing: made, bridged };
  return made;
}

function send(core: Core, ask: Ask, options: ForwardOptions): Promise<UpstreamAnswer> {
  if (ask.era.name === "modern" && core.upstream.eras.modern === undefined)
    return core.control.discover().then(() => attempt(core, ask, options));
  return attempt(core, ask, options);
}

/** Sends it; when the answer shows that the upstream does not speak the agent's era, in the other one. */
function attempt(core: Core, ask: Ask, options: ForwardOptions): Promise<UpstreamAnswer> {
  const known = core.upstream.eras[ask.era.name];
  return sendNow(core, ask, options).then((answer) => {
    if (answer.kind === "json" || answer.kind === "stream" || known === false) return answer;
    return afterRefusal(core, ask, { options, answer, known });
  });
}

function sendNow(core: Core, ask: Ask, options: ForwardOptions): Promise<UpstreamAnswer> {
  const { headers, body, session } = outgoing(core, ask);
  const { extraHeaders } = options;
  return core.upstream.send({
    headers:
      extraHeaders === undefined || extraHeaders.length === 0 ? headers : [...headers, ...extraHeaders],
    body,
    session,
    signal: options.cancels ? ask.asker.gone : undefined,
    deadlineMs: options.deadlineMs,
    retryMs: core.options.limits.callRetryMs,
    repeatable: options.repeatable,
    takesLarge: true,
  });
}

async function afterRefusal(
  core: Core,
  ask: Ask,
  { options, answer, known }: Arrived & { known: boolean | undefined },
): Promise<UpstreamAnswer> {
  if (ask.era.name === "modern" && known === true && refusesModern(answer)) await core.control.discover();
  // The refusal has shown that the upstream does not speak the agent's era: nothing was done then.
  return core.upstream.eras[ask.era.name] === false ? sendNow(core, ask, options) : answer;
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

function answerWith(core: Core, ask: Ask, { answer, options }: Arrived): Outcome | Promise<Outcome> {
  if (answer.kind === "large") return mustRewrite(ask) ? tooLarge(core, ask, answer) : passLarge(ask, answer);
  if (answer.kind !== "stream") return settle(core, ask, answer);
  if (!ask.wantsStream) return fromStream(core, ask, answer);
  toStream(core, ask, { answer, options, stream: core.callStreams.open(ask) });
  return "streaming";
}

/** For an agent that takes no stream: only the response in it. */
async function fromStream(core: Core, ask: Ask, answer: UpstreamAnswer): Promise<Outcome> {
  const message = await finalMessage(answer, ask.message.id, core.options.limits.sseEventBytesMax);
  return message === undefined ? cut(core, ask) : finalAnswer(core, ask, withId(message, ask.message.id));
}

/** The message text with the id as the agent wrote it. */
function withId(message: JsonObject, id: RawId): string {
  const { id: _, ...rest } = message;
  return `{"id":${id},${JSON.stringify(rest).slice(1)}`;
}

type Large = Extract<UpstreamAnswer, { kind: "large" }>;

/** Passes a large answer on as it comes; what is cut off upstream is cut off here. */
async function passLarge(ask: Ask, { status, parts, rest }: Large): Promise<Outcome> {
  const writer = ask.asker.stream({ status, type: "application/json" });
  writer.onEnd(() => rest.cancel());
  try {
    for (const part of parts) {
      writer.write(part);
      await writer.drained();
    }
    for await (const part of rest.body) {
      if (!writer.write(part)) break;
      await writer.drained();
    }
    writer.end();
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error;
    writer.cut();
  }
  return "streaming";
}
