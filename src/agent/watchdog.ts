/**
 * Finds a turn that hangs: nothing was heard for long and no tool runs, so the model cannot be reached. It is
 * interrupted once; a provider that goes on trying for ever would otherwise keep every message waiting.
 */
import type { Clock } from "../base/clock.ts";
import type { Limits } from "../limits.ts";
import type { SessionStatus } from "./status.ts";

export type WatchdogOptions = {
  status(): SessionStatus;
  /** Ends the turn; false when that was not possible. */
  interrupt(): Promise<boolean>;
  /** A turn was found hanging for this long, ms. */
  onHang(silentMs: number, interrupted: boolean): void;
  clock: Clock;
  limits: Pick<Limits, "turnSilenceMs" | "turnWatchMs">;
};

/** Looks now and then; the returned function ends it. */
export function watchTurns({ status, interrupt, onHang, clock, limits }: WatchdogOptions): () => void {
  let cancel = () => {};
  let foundAt: number | undefined;
  const look = () => {
    const now = status();
    const silentMs = clock.monotonic() - now.heardAt;
    const hangs = now.state === "busy" && now.toolsRunning === 0 && silentMs >= limits.turnSilenceMs;
    if (hangs && foundAt !== now.heardAt) {
      foundAt = now.heardAt;
      void interrupt().then((interrupted) => onHang(silentMs, interrupted));
    }
    again();
  };
  const again = () => {
    cancel = clock.after(limits.turnWatchMs, look);
  };
  again();
  return () => cancel();
}
