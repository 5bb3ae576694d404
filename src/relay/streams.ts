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
  /** Ends the streams of these tokens at a time: all, or those that were opened with one secret. */
  endAt(tokens: readonly TokenId[], time: number, secretHash?: string): void;
  /** Streams open now. */
  readonly count: number;
  /** Ends every stream; later ones are refused. */
  close(): void;
};

type Entry = { readonly close: () => void; readonly secretHash: string; readonly stops: (() => void)[] };

/** Streams of one process. */
export function createStreams(clock: Clock): Streams {
  const opened = new Map<TokenId, Set<Entry>>();
  let count = 0;
  let closed = false;

  const revoke = (tokens: readonly TokenId[]) => {
    for (const token of tokens) for (const { close } of [...(opened.get(token) ?? [])]) close();
  };

  return {
    open({ tokenId, expiresAt, secretHash }, close) {
      const set = opened.get(tokenId) ?? new Set<Entry>();
      if (closed || set.size >= limits.feedStreamsPerPrincipalMax) return undefined;
      const stop = expiresAt === undefined ? () => {} : atTime(clock, expiresAt, close);
      const entry: Entry = { close, secretHash, stops: [stop] };
      opened.set(tokenId, set.add(entry));
      count += 1;
      return () => {
        if (!set.delete(entry)) return;
        count -= 1;
        for (const cancel of entry.stops) cancel();
        if (set.size === 0) opened.delete(tokenId);
      };
    },
    revoke,
    endAt(tokens, time, secretHash) {
      for (const token of tokens) {
        for (const entry of opened.get(token) ?? []) {
          if (secretHash !== undefined && entry.secretHash !== secretHash) continue;
          entry.stops.push(atTime(clock, time, entry.close));
        }
      }
    },
    get count() {
      return count;
    },
    close() {
      closed = true;
      revoke([...opened.keys()]);
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
