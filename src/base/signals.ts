/** Aborts that unhook themselves, and deadlines that clean up after themselves. */
import type { Clock } from "./clock.ts";

export type Linked = Disposable & { readonly signal: AbortSignal; abort(reason?: unknown): void };

/** A controller that aborts when any of the signals does; disposing removes every listener. */
export function linkedAbort(...signals: (AbortSignal | undefined)[]): Linked {
  const controller = new AbortController();
  const parents = signals.filter((signal) => signal !== undefined);
  const onAbort = (event: Event) => abort((event.target as AbortSignal).reason);
  const unhook = () => {
    for (const parent of parents) parent.removeEventListener("abort", onAbort);
  };
  const abort = (reason?: unknown) => {
    unhook();
    controller.abort(reason);
  };
  for (const parent of parents) {
    if (parent.aborted) {
      abort(parent.reason);
      break;
    }
    parent.addEventListener("abort", onAbort, { once: true });
  }
  return { signal: controller.signal, abort, [Symbol.dispose]: unhook };
}

/** Thrown, as the abort reason, when a deadline passes. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
}

/** What a deadline is for, and what else ends the wait. */
export type Waiting = {
  /** Begins the error's sentence, such as `Probe the relay`. */
  readonly action: string;
  readonly parent?: AbortSignal | undefined;
};

/** A signal that aborts after `ms` or with its parent; disposing stops the timer. */
export function deadline(clock: Clock, ms: number, { action, parent }: Waiting): Linked {
  const linked = linkedAbort(parent);
  const cancel = clock.after(ms, () =>
    linked.abort(new DeadlineError(`${action} took longer than ${ms} ms`)),
  );
  return {
    signal: linked.signal,
    abort: linked.abort,
    [Symbol.dispose]() {
      cancel();
      linked[Symbol.dispose]();
    },
  };
}

/** The value of the promise, or `undefined` when the signal aborts first. The promise is not left floating. */
export function orAbort<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) resolve(undefined);
    const stop = () => resolve(undefined);
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
