/**
 * Open streams by the token that opened them: so many per token, and none outlives it. A revoked or ended token
 * takes its streams with it at once.
 */
import type { Clock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import type { TokenId } from "../wire/id.ts";
import type { Principal } from "./access.ts";

export type Streams = {
  /**
   * Counts a stream in; the returned function counts it out. Undefined when the token has as many as it may.
   * @param close ends the stream; must not throw
   */
  open(principal: Principal, close: () => void): (() => void) | undefined;
  /** Ends the streams of these tokens. */
  revoke(tokens: readonly TokenId[]): void;
  /** Streams open now. */
  readonly count: number;
  /** Ends every stream; later ones are refused. */
  close(): void;
};

/** Streams of one process. */
export function createStreams(clock: Clock): Streams {
  const closers = new Map<TokenId, Set<() => void>>();
  let count = 0;
  let closed = false;

  const revoke = (tokens: readonly TokenId[]) => {
    for (const token of tokens) for (const close of [...(closers.get(token) ?? [])]) close();
  };

  return {
    open({ tokenId, expiresAt }, close) {
      const set = closers.get(tokenId) ?? new Set();
      if (closed || set.size >= limits.feedStreamsPerPrincipalMax) return undefined;
      // A closure of its own: the same function may be counted in twice.
      const entry = () => close();
      closers.set(tokenId, set.add(entry));
      count += 1;
      const stopWaiting = expiresAt === undefined ? undefined : atTime(clock, expiresAt, close);
      return () => {
        if (!set.delete(entry)) return;
        count -= 1;
        stopWaiting?.();
        if (set.size === 0) closers.delete(tokenId);
      };
    },
    revoke,
    get count() {
      return count;
    },
    close() {
      closed = true;
      revoke([...closers.keys()]);
    },
  };
}

/** Calls back at a wall-clock time, however far away; the returned function cancels. */
function atTime(clock: Clock, time: number, callback: () => void): () => void {
  let cancel: () => void;
  const wait = () => {
    const left = time - clock.now();
    // Timers hold 31 bits of milliseconds, so a far end is waited for in steps.
    cancel = left <= limits.timerStepMs ? clock.after(left, callback) : clock.after(limits.timerStepMs, wait);
  };
  wait();
  return () => cancel();
}
