/**
 * Figures of the running relay in the text format of Prometheus. Names and label values come from tables, never
 * from a request, so that there is a bound on how many there are.
 */
import { limits } from "../limits.ts";

export type Labels = Readonly<Record<string, string>>;

export type Metrics = {
  /** One more of these, or so many. */
  count(name: CounterName, labels?: Labels, by?: number): void;
  /** One more that took so long, ms. */
  took(name: DurationName, labels: Labels, ms: number): void;
  /** All figures as text; `gauges` are read now. */
  text(gauges: readonly Gauge[]): string;
};

/** A figure that is read when it is asked for. */
export type Gauge = { readonly name: string; readonly help: string; readonly value: number };

const counters = {
  agent_relay_refusals_total: "Requests refused, by the code of the error",
  agent_relay_tool_calls_total: "Tool calls over MCP, by tool and result",
  agent_relay_records_total: "Records that outboxes delivered, by what became of them",
  agent_relay_audit_failures_total: "Audit entries that could not be written",
} as const;
export type CounterName = keyof typeof counters;

const durations = {
  agent_relay_request_seconds: "Requests by operation and status, from the head to the answer's head",
} as const;
export type DurationName = keyof typeof durations;

/** Upper bounds, s. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

type Series = { labels: Labels; count: number };
type Histogram = { labels: Labels; within: number[]; count: number; sum: number };

/** The figures of one process. */
export function createMetrics(): Metrics {
  const counted = new Map<string, Map<string, Series>>();
  const timed = new Map<string, Map<string, Histogram>>();
  return {
    count(name, labels = {}, by = 1) {
      const series = entry(counted, name, { labels, make: () => ({ labels, count: 0 }) });
      if (series !== undefined) series.count += by;
    },
    took(name, labels, ms) {
      const make = () => ({ labels, within: buckets.map(() => 0), count: 0, sum: 0 });
      const histogram = entry(timed, name, { labels, make });
      if (histogram === undefined) return;
      const seconds = ms / 1_000;
      const at = buckets.findIndex((bound) => seconds <= bound);
      if (at !== -1) histogram.within[at] = (histogram.within[at] ?? 0) + 1;
      histogram.count += 1;
      histogram.sum += seconds;
    },
    text: (gauges) =>
      [
        ...gauges.flatMap(gaugeLines),
        ...Object.entries(counters).flatMap(([name, help]) =>
          family(name, "counter", help, [...(counted.get(name)?.values() ?? [])].map(counterLine(name))),
        ),
        ...Object.entries(durations).flatMap(([name, help]) =>
          family(
            name,
            "histogram",
            help,
            [...(timed.get(name)?.values() ?? [])].flatMap(histogramLines(name)),
          ),
        ),
        "",
      ].join("\n"),
  };
}

/** The series of these labels; undefined when there are as many as there may be. */
function entry<Value>(
  families: Map<string, Map<string, Value>>,
  name: string,
  { labels, make }: { labels: Labels; make: () => Value },
): Value | undefined {
  const series = families.get(name) ?? new Map<string, Value>();
  families.set(name, series);
  const key = labelText(labels);
  const known = series.get(key);
  if (known !== undefined || series.size >= limits.metricSeriesMax) return known;
  const made = make();
  series.set(key, made);
  return made;
}

function family(name: string, type: string, help: string, lines: string[]): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines];
}

function gaugeLines({ name, help, value }: Gauge): string[] {
  return family(name, "gauge", help, [`${name} ${value}`]);
}

const counterLine =
  (name: string) =>
  ({ labels, count }: Series): string =>
    `${name}${labelText(labels)} ${count}`;

const histogramLines =
  (name: string) =>
  ({ labels, within, count, sum }: Histogram): string[] => {
    let below = 0;
    const lines = buckets.map((bound, at) => {
      below += within[at] ?? 0;
      return `${name}_bucket${labelText({ ...labels, le: String(bound) })} ${below}`;
    });
    return [
      ...lines,
      `${name}_bucket${labelText({ ...labels, le: "+Inf" })} ${count}`,
      `${name}_sum${labelText(labels)} ${sum}`,
      `${name}_count${labelText(labels)} ${count}`,
    ];
  };

function labelText(labels: Labels): string {
  const members = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return members.length === 0 ? "" : `{${members.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
