/** One question to whoever takes the records: with a deadline, and with one kind of error. */
import type { Clock } from "../base/clock.ts";
import { deadline, orAbort } from "../base/signals.ts";
import { DeliveryError } from "../wire/write.ts";

/**
 * Asks; a missing answer and whatever else is thrown become a DeliveryError of which it is unknown whether it was sent.
 * @param options.stop ends it because the outbox closes
 */
export async function attempt<Value>(
  ask: (signal: AbortSignal) => Promise<Value>,
  options: { action: string; ms: number; clock: Clock; stop: AbortSignal },
): Promise<Value> {
  const { action, ms, clock, stop } = options;
  using limit = deadline(clock, ms, { action, parent: stop });
  try {
    const value = await orAbort(ask(limit.signal), limit.signal);
    if (value !== undefined) return value;
  } catch (error) {
    if (error instanceof DeliveryError) throw error;
    const words = error instanceof Error ? error.message : String(error);
    throw new DeliveryError("unreachable", "unknown", `${action}: ${words}`, { cause: error });
  }
  const words = stop.aborted ? "given up because the outbox closes" : `no answer within ${ms} ms`;
  throw new DeliveryError("unreachable", "unknown", `${action}: ${words}`);
}
