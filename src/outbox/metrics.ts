/** The figures of an outbox: counted while it runs, and written as text for Prometheus. Pure but for the counting. */
import type { OutboxStatus } from "../wire/write.ts";
import type { Vitals } from "./rows.ts";

/** What is counted since the outbox was opened; a member counts one label. */
export type Counts = {
  accepted: number;
  sent: number;
  /** Equal calls that were answered with an earlier receipt. */
  duplicatesSuppressed: number;
  /** Ends that gave a notice, by reason. */
  bounced: Record<string, number>;
  /** Writes that were not stored, by code. */
  refused: Record<string, number>;
  /** Deliveries, by what came of them. */
  attempts: Record<string, number>;
};

export type OutboxMetrics = {
  status: OutboxStatus;
  counts: Counts;
  /** Undefined while the file cannot be asked. */
  vitals: Vitals | undefined;
  noticesPending: number;
};

/** Nothing counted yet. */
export function newCounts(): Counts {
  return { accepted: 0, sent: 0, duplicatesSuppressed: 0, bounced: {}, refused: {}, attempts: {} };
}

/** Counts one more under a label. */
export function countOne(counts: Record<string, number>, label: string): void {
  counts[label] = (counts[label] ?? 0) + 1;
}

type Sample = {
  name: string;
  type: "gauge" | "counter";
  help: string;
  values: [labels: Labels, value: number][];
};
type Labels = Record<string, string>;

const prefix = "agent_relay_outbox_";

/** The samples of one outbox (`outbox` names it) in the Prometheus text format, version 0.0.4. */
export function metricsText(outbox: string, metrics: OutboxMetrics): string {
  const { status, counts, vitals, noticesPending } = metrics;
  const lane = { outbox };
  const one = (value: number): [Labels, number][] => [[lane, value]];
  const by = (label: string, values: Record<string, number>): [Labels, number][] =>
    Object.entries(values).map(([name, value]) => [{ ...lane, [label]: name }, value]);
  const samples: Sample[] = [
    gauge("depth", "Writes that wait", one(status.depth)),
    gauge("bytes", "Bytes of the writes that wait", one(status.bytes)),
    gauge("oldest_age_seconds", "Age of the oldest write that waits", one(status.oldestAgeMs / 1_000)),
    gauge("lane_blocked", "1 while nothing is delivered for this reason", blocked(lane, status)),
    gauge("notices_pending", "Notices that the agent has not seen", one(noticesPending)),
    counter("accepted_total", "Writes that were stored", one(counts.accepted)),
    counter("sent_total", "Writes that the relay has committed", one(counts.sent)),
    counter("bounced_total", "Writes that ended unsent, by reason", by("reason", counts.bounced)),
    counter("refused_total", "Writes that were not stored, by reason", by("reason", counts.refused)),
    counter("attempts_total", "Deliveries, by what came of them", by("class", counts.attempts)),
    counter(
      "duplicate_suppressed_total",
      "Calls answered with an earlier receipt",
      one(counts.duplicatesSuppressed),
    ),
    ...(vitals === undefined ? [] : vitalSamples(vitals, one)),
  ];
  return samples.map(sampleText).join("");
}

function vitalSamples(vitals: Vitals, one: (value: number) => [Labels, number][]): Sample[] {
  return [
    gauge("db_bytes", "Size of the database", one(vitals.dbBytes)),
    gauge("disk_free_bytes", "Free bytes of its disk", one(vitals.freeBytes)),
    gauge("epoch", "Openings of the store", one(vitals.epoch)),
    counter("commits_total", "Transactions", one(vitals.commits)),
    counter("fsync_seconds_total", "Time in commits and their flushes", one(vitals.commitMs / 1_000)),
  ];
}

function blocked(lane: Labels, { state }: OutboxStatus): [Labels, number][] {
  const reasons: OutboxStatus["state"][] = ["waiting", "paused", "damaged"];
  return reasons.map((reason) => [{ ...lane, reason }, state === reason ? 1 : 0]);
}

function gauge(name: string, help: string, values: Sample["values"]): Sample {
  return { name, type: "gauge", help, values };
}

function counter(name: string, help: string, values: Sample["values"]): Sample {
  return { name, type: "counter", help, values };
}

function sampleText({ name, type, help, values }: Sample): string {
  const lines = values.map(([labels, value]) => `${prefix}${name}{${labelText(labels)}} ${value}\n`);
  return `# HELP ${prefix}${name} ${help}\n# TYPE ${prefix}${name} ${type}\n${lines.join("")}`;
}

function labelText(labels: Labels): string {
  const escaped = (value: string) =>
    value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(",");
}
