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
  /** How many requests it has refused. */
  refused(): number;
  /** The answer with these words in its move, such as a tool's argument, is held back until it is let go. */
  hold(words: string): Held;
  close(): Promise<void>;
};

/** An answer of the model that is held back. */
export type Held = {
  /** The request that it answers has come. */
  reached(): boolean;
  go(): void;
};

/** Holds answers back, for a test that has to do something at that point of a conversation. */
export function holdAnswers(): { hold(words: string): Held; before(move: Move): Promise<void> } {
  let waiting: { words: string; reached: boolean; gone: PromiseWithResolvers<void> }[] = [];
  return {
    hold(words) {
      const one = { words, reached: false, gone: Promise.withResolvers<void>() };
      waiting.push(one);
      return {
        reached: () => one.reached,
        go() {
          waiting = waiting.filter((other) => other !== one);
          one.gone.resolve();
        },
      };
    },
    async before(move) {
      const one = waiting.find(({ words }) => JSON.stringify(move).includes(words));
      if (one === undefined) return;
      one.reached = true;
      await one.gone.promise;
    },
  };
}

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

/** True when the words stand behind that result of a tool, before the model did or was told of anything else. */
export function followsResult(items: readonly Item[], result: string, words: string): boolean {
  const at = items.findIndex((item) => item.kind === "result" && item.text.includes(result));
  const rest = at === -1 ? [] : items.slice(at + 1);
  const next = rest.findIndex(({ kind }) => kind !== "text");
  return rest
    .slice(0, next === -1 ? rest.length : next)
    .some((item) => item.kind === "text" && item.text.includes(words));
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
