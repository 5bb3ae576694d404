/**
 * Calls into a worker and back: one promise per call, in order. The worker answers calls one at a time; several
 * that wait may be taken together (group commit is the handler's choice).
 */
import { type Call, CallBundle, callsOf } from "./call-bundle.ts";

type Reply = { id: number; value?: unknown; error?: { name: string; message: string } };

/** Handlers of a worker: one per method name. */
export type Handlers = Record<string, (argument: never) => unknown>;

/** The caller's side of a worker. */
export type WorkerClient<Methods extends Handlers> = {
  call<Name extends keyof Methods & string>(
    method: Name,
    argument: Parameters<Methods[Name]>[0],
  ): Promise<Awaited<ReturnType<Methods[Name]>>>;
  /** Ends the worker; calls that wait are rejected. */
  close(): Promise<void>;
};

/**
 * Wraps a worker that runs `serveWorker`.
 * @param options with `bundle`, calls made in one turn go to the worker together, at most so many; arguments and answers
 *   must be JSON values then. `beside` names a long text that arguments may have: it travels as it is
 */
export function workerClient<Methods extends Handlers>(
  worker: Worker,
  name: string,
  { bundle = 0, beside }: { bundle?: number; beside?: string } = {},
): WorkerClient<Methods> {
  let nextId = 1;
  let closed: Error | undefined;
  const outgoing = new CallBundle(beside);
  const post = () => {
    if (outgoing.size > 0) worker.postMessage(outgoing.take());
  };
  const send = (call: Call) => {
    if (bundle === 0) {
      worker.postMessage(call);
      return;
    }
    outgoing.add(call);
    // A full bundle leaves at once, so that the worker begins while the rest of the turn goes on.
    if (outgoing.size === bundle) post();
    else if (outgoing.size === 1) queueMicrotask(post);
  };
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  const failAll = (error: Error) => {
    closed ??= error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.addEventListener("message", ({ data }: MessageEvent<Reply[] | string>) => {
    const replies = typeof data === "string" ? (JSON.parse(data) as Reply[]) : data;
    for (const { id, value, error } of replies) {
      const call = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) call?.resolve(value);
      else call?.reject(Object.assign(new Error(error.message), { name: error.name }));
    }
  });
  worker.addEventListener("error", (event) =>
    failAll(new Error(`The ${name} worker failed: ${event.message}`)),
  );
  worker.addEventListener("close", () => failAll(new Error(`The ${name} worker has ended`)));
  return {
    call(method, argument) {
      if (closed !== undefined) return Promise.reject(closed);
      const id = nextId++;
      return new Promise((resolve, reject) => {
        send({ id, method, argument });
        waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      });
    },
    async close() {
      failAll(new Error(`The ${name} worker was closed`));
      worker.terminate();
    },
  };
}

/**
 * Runs calls that arrived together: each `run` once and in order. The answers leave when it returns, when the promise
 * that it gives is fulfilled (the next calls are taken meanwhile), or earlier when it calls `answer`.
 */
export type RunAll = (runs: (() => void)[], answer: () => void) => Promise<void> | void;

/**
 * The worker's side. Calls that arrived together are given to `runAll` together, so that it can put them into one
 * transaction; by default they simply run one after another.
 */
export function serveWorker(handlers: Handlers, runAll: RunAll = runInOrder): void {
  const scope = globalThis as unknown as Worker;
  let queue: Call[] = [];
  let scheduled = false;
  /** Whoever sends bundles is answered by one. */
  let bundled = false;
  const send = (replies: Reply[]) => scope.postMessage(bundled ? JSON.stringify(replies) : replies);
  const flush = () => {
    scheduled = false;
    const calls = queue;
    queue = [];
    const replies: Reply[] = [];
    const runs = calls.map((call) => () => {
      replies.push(answer(handlers, call));
    });
    let answered = false;
    const reply = (all: Reply[]) => {
      if (!answered) send(all);
      answered = true;
    };
    const done = () => reply(replies);
    // The shared transaction failed: none of these calls took effect, whatever each one answered.
    const fail = (error: unknown) => reply(calls.map(({ id }) => ({ id, error: errorShape(error) })));
    try {
      const running = runAll(runs, done);
      if (running === undefined) done();
      else running.then(done, fail);
    } catch (error) {
      fail(error);
    }
  };
  scope.addEventListener("message", ({ data }: MessageEvent<Call | string>) => {
    bundled = typeof data === "string";
    if (typeof data === "string") queue.push(...callsOf(data));
    else queue.push(data);
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  });
}

function runInOrder(runs: (() => void)[]): void {
  for (const run of runs) run();
}

function answer(handlers: Handlers, call: Call): Reply {
  try {
    const handler = handlers[call.method];
    if (handler === undefined) throw new Error(`The worker has no method ${call.method}`);
    return { id: call.id, value: handler(call.argument as never) };
  } catch (error) {
    return { id: call.id, error: errorShape(error) };
  }
}

function errorShape(error: unknown): { name: string; message: string } {
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: "Error", message: String(error) };
}
