/** What all sessions share: the status, and one place through which every event goes. */
import type { SessionOptions } from "./session.ts";
import type { SessionEvent } from "./session-event.ts";
import { firstStatus, nextStatus, type SessionStatus } from "./status.ts";

export type SessionCore = {
  readonly status: SessionStatus;
  /** Applies an event, then tells it. */
  emit(event: SessionEvent): void;
};

/** The core of one session. A listener that throws is logged and does not stop the provider's file. */
export function createCore(options: Pick<SessionOptions, "clock" | "log" | "onEvent">): SessionCore {
  const { clock, log } = options;
  let status = firstStatus(clock.monotonic());
  return {
    get status() {
      return status;
    },
    emit(event) {
      status = nextStatus(status, event, clock.monotonic());
      try {
        options.onEvent(event, status);
      } catch (error) {
        log.error("A session's event was not handled", { error, event: event.type });
      }
    },
  };
}
