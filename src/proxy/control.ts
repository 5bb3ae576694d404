/**
 * Requests of the proxy's own to the upstream (lists, discovery), in whichever era the upstream speaks, whatever
 * the agents speak. They are never seen by an agent and may always be repeated.
 */
import { deadline } from "../base/signals.ts";
import { isObject, type JsonObject, requestText, rpcCode } from "../wire/jsonrpc.ts";
import { encodeMirror, metaKey, mirroredName, modernVersion } from "./era.ts";
import { finalMessage } from "./final.ts";
import type { UpstreamParts } from "./options.ts";
import type { Upstream } from "./upstream.ts";
import type { HeaderList, UpstreamAnswer } from "./upstream-call.ts";

/** What became of a control request. `error` is the upstream's own; `failed` means that there was no answer. */
export type Asked =
  | { kind: "result"; result: JsonObject }
  | { kind: "error"; code: number; message: string; data: unknown }
  | { kind: "failed"; cause: string };

export type Control = {
  /** @param onlyWhile false as soon as the answer would no longer be wanted: nothing is sent then */
  ask(method: string, params: JsonObject, onlyWhile?: () => boolean): Promise<Asked>;
  /** Asks `server/discover`; learns from the answer which eras the upstream speaks. */
  discover(): Promise<Asked>;
};

/** The session of the control plane at a legacy upstream. */
export const controlSession = { uid: "control", version: "2025-11-25", capabilities: {} } as const;
const encoder = new TextEncoder();

type Question = { method: string; params: JsonObject; onlyWhile?: (() => boolean) | undefined };

export function createControl(options: UpstreamParts, upstream: Upstream): Control {
  let count = 0;

  async function exchange(era: "modern" | "legacy", { method, params, onlyWhile }: Question): Promise<Asked> {
    count += 1;
    const id = `"agent-relay-${count}"`;
    const deadlineMs = options.limits.deliveryAttemptMs;
    using limit = deadline(options.clock, deadlineMs, { action: `Asking the upstream for ${method}` });
    const sent = era === "modern" ? { ...params, _meta: envelope(options) } : params;
    const answer = await upstream.send({
      headers: era === "modern" ? modernHeaders(method, sent) : plainHeaders,
      body: encoder.encode(requestText(id, method, sent)),
      session: era === "modern" ? undefined : controlSession,
      signal: limit.signal,
      deadlineMs,
      retryMs: 0,
      repeatable: true,
      onlyWhile,
    });
    return asked(answer, await finalMessage(answer, id, options.limits.sseEventBytesMax));
  }

  async function discover(): Promise<Asked> {
    const answer = await exchange("modern", { method: "server/discover", params: {} });
    learn(upstream, answer);
    return answer;
  }

  return {
    discover,
    async ask(method, params, onlyWhile) {
      if (upstream.eras.modern === undefined) {
        const first = await discover();
        if (first.kind === "failed") return first;
      }
      return exchange(upstream.eras.modern === true ? "modern" : "legacy", { method, params, onlyWhile });
    },
  };
}

/** Codes with which a server without the modern era answers `server/discover`. */
const deniesModern: readonly number[] = [
  rpcCode.unsupportedVersion,
  rpcCode.methodNotFound,
  rpcCode.invalidRequest,
  -32000,
];

/** Remembers from an answer to `server/discover` whether the upstream is modern. */
export function learn(upstream: Upstream, answer: Asked): void {
  if (answer.kind === "failed") return;
  if (answer.kind === "result") {
    const versions = answer.result.supportedVersions;
    upstream.eras.modern = Array.isArray(versions) ? versions.includes(modernVersion) : true;
    return;
  }
  // A plain 404 or 401 says nothing of eras: only what an MCP server answers may turn round what is known.
  if (upstream.eras.modern === true && !deniesModern.includes(answer.code)) return;
  const supported = isObject(answer.data) ? answer.data.supported : undefined;
  upstream.eras.modern =
    answer.code === rpcCode.unsupportedVersion &&
    Array.isArray(supported) &&
    supported.includes(modernVersion);
}

export const plainHeaders: HeaderList = [
  ["Content-Type", "application/json"],
  ["Accept", "application/json, text/event-stream"],
];

/** Headers of a modern request of our own; its params carry the envelope. */
export function modernHeaders(method: string, params: JsonObject): HeaderList {
  const name = mirroredName(method, params);
  return [
    ...plainHeaders,
    ["MCP-Protocol-Version", modernVersion],
    ["Mcp-Method", method],
    ...(name === undefined ? [] : [["Mcp-Name", encodeMirror(name)] as const]),
  ];
}

/** The per-request `_meta` of a modern request in our own name. */
export function envelope(options: UpstreamParts, capabilities: JsonObject = {}): JsonObject {
  return {
    [metaKey.protocolVersion]: modernVersion,
    [metaKey.clientInfo]: options.serverInfo,
    [metaKey.clientCapabilities]: capabilities,
  };
}

/** An upstream answer and its final message as one value. */
export function asked(answer: UpstreamAnswer, message: JsonObject | undefined): Asked {
  if (isObject(message?.result)) return { kind: "result", result: message.result };
  const error = isObject(message?.error)
    ? message.error
    : answer.kind === "refused"
      ? (answer.error ?? { code: 0, message: `HTTP ${answer.status} ${answer.reason}`.trim() })
      : undefined;
  if (answer.kind === "refused" && (answer.status === 401 || answer.status === 403)) {
    return { kind: "failed", cause: `the upstream refused the token: HTTP ${answer.status}` };
  }
  if (error !== undefined) {
    const { code, message: text, data } = error;
    return { kind: "error", code: Number(code), message: String(text), data };
  }
  if (answer.kind === "unreachable") return { kind: "failed", cause: answer.cause };
  return { kind: "failed", cause: "the upstream's answer ended early" };
}
