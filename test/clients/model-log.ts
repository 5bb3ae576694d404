/** What both model endpoints keep of every request, so that a test can see what the model was shown and when. */
import { appendFileSync } from "node:fs";
import type { Item, Move } from "./brain.ts";

/** One request to the model. */
export type ModelRequest = {
  /** Wall clock when it arrived, ms since 1970: receipts are compared with it. */
  at: number;
  path: string;
  /** The whole request as text, to look for secrets and messages. */
  raw: string;
  items: readonly Item[];
  /** Names of the tools that the model is offered, with their prefix. */
  tools: readonly string[];
  move: Move;
};

export type ModelEndpoint = {
  /** Base address for the client's configuration. */
  readonly url: string;
  /** Requests of conversations with tools, oldest first; side tasks of the client such as titles are left out. */
  readonly requests: readonly ModelRequest[];
  /** Whether it answers, or refuses every request as a model that is overloaded does. */
  answering(on: boolean): void;
  close(): Promise<void>;
};

/** The requests, in memory and as JSON lines in a file when one is named. */
export function modelLog(file: string | undefined): {
  requests: ModelRequest[];
  add(request: ModelRequest): void;
} {
  const requests: ModelRequest[] = [];
  return {
    requests,
    add(request) {
      requests.push(request);
      if (file !== undefined) appendFileSync(file, `${JSON.stringify(request)}\n`, { mode: 0o600 });
    },
  };
}

/** Server-sent events of one answer as one body. */
export function eventStream(events: readonly (readonly [string, Record<string, unknown>])[]): Response {
  const text = events.map(([name, data]) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join("");
  return new Response(text, { headers: { "content-type": "text/event-stream" } });
}

/** A refusal in the form both clients read. */
export function apiError(status: number, message: string): Response {
  const body = { type: "error", error: { type: "api_error", message } };
  return Response.json(body, { status });
}
