/** The analysis of a session when it has ended, and events worth a person's look: what is reported as insights. */
import type { Log } from "../base/log.ts";
import { RelayError } from "../wire/error.ts";
import { uuidV7 } from "../wire/id.ts";
import type { InsightKind } from "../wire/insight.ts";
import type { SessionFile } from "./session-file.ts";

export type InsightReport = { id: string; kind: InsightKind; at: string; facts: Record<string, unknown> };

export type Insights = {
  /** Reports something; what the relay does not want, or cannot take now, is only logged. Never rejects. */
  report(kind: InsightKind, facts: Record<string, unknown>): Promise<void>;
};

export type InsightOptions = {
  send(report: InsightReport): Promise<unknown>;
  now(): number;
  randomBytes(count: number): Uint8Array;
  log: Log;
};

/** Reports insights of one agent. */
export function insightReporter({ send, now, randomBytes, log }: InsightOptions): Insights {
  // Kinds that the relay has switched off are not asked about again.
  const disabled = new Set<InsightKind>();
  return {
    async report(kind, facts) {
      log.info("insight", { kind, facts });
      if (disabled.has(kind)) return;
      const at = now();
      try {
        await send({ id: uuidV7(at, randomBytes(10)), kind, at: new Date(at).toISOString(), facts });
      } catch (error) {
        if (error instanceof RelayError && error.code === "feature_disabled") disabled.add(kind);
        else log.warn("An insight was not reported", { error, kind });
      }
    },
  };
}

/** The figures of a finished session: turns, tools, errors, times. No text of anybody is in it. */
export function analysisOf(session: SessionFile, now: number): Record<string, unknown> {
  const { figures, provider, cause, startedAt, lastTurn } = session;
  return {
    provider,
    cause: cause ?? "unknown",
    durationMs: Math.max(0, now - Date.parse(startedAt)),
    ...figures,
    busyMs: Math.round(figures?.busyMs ?? 0),
    lastTurn: lastTurn?.how ?? "none",
  };
}
