/** Medians and spreads of the rounds, and the table they make. Pure. */

/** One path in one round. */
export type Round = {
  path: string;
  clients: number;
  /** Load, proxy and upstream shared one core. */
  oneCore: boolean;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** CPU of the proxy's processes and of the upstream's, µs for each call. */
  proxyCpuUs: number;
  upstreamCpuUs: number;
};

/** The middle value and the extremes of some rounds. */
export type Spread = { median: number; min: number; max: number };

/** Median, least and greatest of at least one value. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return { median: (low + high) / 2, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/** The figures of one path in one setting over all rounds. */
export function figuresOf(rounds: readonly Round[], which: Pick<Round, "path" | "clients" | "oneCore">) {
  const mine = rounds.filter(
    ({ path, clients, oneCore }) =>
      path === which.path && clients === which.clients && oneCore === which.oneCore,
  );
  const spread = (value: (round: Round) => number) => spreadOf(mine.map(value));
  return {
    ...which,
    rounds: mine.length,
    p50: spread(({ p50Ms }) => p50Ms),
    p99: spread(({ p99Ms }) => p99Ms),
    perSecond: spread(({ perSecond }) => perSecond),
    proxyCpu: spread(({ proxyCpuUs }) => proxyCpuUs),
    upstreamCpu: spread(({ upstreamCpuUs }) => upstreamCpuUs),
  };
}
export type Figures = ReturnType<typeof figuresOf>;

/** A Markdown table, one row per path and number of clients. */
export function markdown(figures: readonly Figures[]): string {
  const head = [
    "path",
    "clients",
    "p50 ms",
    "p99 ms",
    "calls/s",
    "proxy CPU µs/call",
    "upstream CPU µs/call",
  ];
  const rows = figures.map((row) => [
    row.path,
    row.oneCore ? `${row.clients}, one core` : String(row.clients),
    text(row.p50, 3),
    text(row.p99, 2),
    text(row.perSecond, 0),
    row.path === "direct" ? "" : text(row.proxyCpu, 0),
    text(row.upstreamCpu, 0),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? "").length)));
  const line = (cells: string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

/** Of the medians: added latency of one client, on one core and on all, and throughput at 32; relative to nginx. */
export function ratios(figures: readonly Figures[]): {
  addedLatency: number;
  addedLatencyAllCores: number;
  throughput: number;
} {
  const median = (which: Pick<Round, "path" | "clients" | "oneCore">, pick: (row: Figures) => Spread) => {
    const { path, clients, oneCore } = which;
    const row = figures.find(
      (one) => one.path === path && one.clients === clients && one.oneCore === oneCore,
    );
    return row === undefined ? Number.NaN : pick(row).median;
  };
  const added = (path: string, oneCore: boolean) =>
    median({ path, clients: 1, oneCore }, (row) => row.p50) -
    median({ path: "direct", clients: 1, oneCore }, (row) => row.p50);
  const perSecond = (path: string) => median({ path, clients: 32, oneCore: false }, (row) => row.perSecond);
  return {
    addedLatency: added("agent-relay", true) / added("nginx", true),
    addedLatencyAllCores: added("agent-relay", false) / added("nginx", false),
    throughput: perSecond("agent-relay") / perSecond("nginx"),
  };
}

function text(spread: Spread, digits: number): string {
  const [median, min, max] = [spread.median, spread.min, spread.max].map((value) => value.toFixed(digits));
  return `${median} (${min}–${max})`;
}
