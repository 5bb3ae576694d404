/**
 * How often a token may ask: a bucket per token that fills by so many requests a second. A burst after an outage
 * fits; a loop that has gone wild does not keep the others waiting.
 */
import type { Clock } from "../base/clock.ts";
import type { TokenId } from "../wire/id.ts";

/** Requests per second in the long run, and how many may come at once. */
export type RequestRate = { readonly perSecond: number; readonly burst: number };

export type Rates = {
  /** Takes one request of a token: 0 when it may go on, else how long it has to wait, ms. */
  take(token: TokenId): number;
};

type Bucket = { left: number; at: number };

/**
 * The buckets of one process.
 * @param options.tokensMax buckets kept; the one that was used longest ago makes room, full again
 */
export function createRates(options: { clock: Clock; rate: RequestRate; tokensMax: number }): Rates {
  const { clock, rate, tokensMax } = options;
  const buckets = new Map<TokenId, Bucket>();

  const bucketOf = (token: TokenId, now: number): Bucket => {
    const known = buckets.get(token);
    if (known !== undefined) return known;
    const oldest = buckets.size >= tokensMax ? buckets.keys().next().value : undefined;
    if (oldest !== undefined) buckets.delete(oldest);
    const fresh = { left: rate.burst, at: now };
    buckets.set(token, fresh);
    return fresh;
  };

  return {
    take(token) {
      const now = clock.monotonic();
      const bucket = bucketOf(token, now);
      bucket.left = Math.min(rate.burst, bucket.left + ((now - bucket.at) / 1_000) * rate.perSecond);
      bucket.at = now;
      if (bucket.left < 1) return Math.ceil(((1 - bucket.left) / rate.perSecond) * 1_000);
      bucket.left -= 1;
      return 0;
    },
  };
}
