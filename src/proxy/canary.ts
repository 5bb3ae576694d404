/**
 * A small request of our own through the whole way to the upstream, whenever nothing else has shown lately that it
 * answers. It finds a connection that is open but dead, and the end of an outage when no agent calls.
 */
import { backoff } from "../base/backoff.ts";
import { sleep } from "../base/clock.ts";
import type { Core } from "./core.ts";
import { isTroubled } from "./reach.ts";

/** Begins to look after the upstream. */
export function startCanary(core: Core): { close(): void } {
  const end = new AbortController();
  watch(core, end.signal).catch((error: unknown) => core.options.log.error("the canary failed", { error }));
  return { close: () => end.abort() };
}

async function watch(core: Core, signal: AbortSignal): Promise<void> {
  const { clock, limits, random } = core.options;
  const pauses = backoff({ baseMs: limits.deliveryBackoffBaseMs, capMs: limits.listRetryCapMs, random });
  while (!signal.aborted) {
    const began = { wall: clock.now(), monotonic: clock.monotonic() };
    const troubled = isTroubled(core.upstream.state().reach);
    if (!troubled) pauses.reset();
    await sleep(clock, troubled ? limits.probeIntervalMs + pauses.next() : limits.canaryIdleMs, signal);
    // The monotonic clock stands still while a machine sleeps, the wall clock does not.
    const sleptMs = clock.now() - began.wall - (clock.monotonic() - began.monotonic);
    if (sleptMs > limits.clockJumpMs) core.upstream.slept();
    const quietMs = clock.monotonic() - core.upstream.lastAnswerAt();
    if (signal.aborted || (quietMs < limits.canaryIdleMs && !isTroubled(core.upstream.state().reach)))
      continue;
    await core.control.discover();
  }
}
