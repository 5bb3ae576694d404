/** What the clients of a drill noticed, in numbers, and the table that sets paths side by side. Pure. */
import type { Agent, CallEnd } from "./agents.ts";
import type { FaultName, Played } from "./faults.ts";

export type FaultReport = {
  readonly name: FaultName;
  readonly seconds: string;
  /** Clients that had a real result before the next fault. */
  readonly recovered: number;
  /** From the upstream's return to that result, of the slowest of them, ms; undefined when there was none. */
  readonly recoveryMs: number | undefined;
  /** Clients that heard of the change of tools after it, before the next fault. */
  readonly heard: number;
};

export type DrillReport = {
  readonly path: string;
  readonly clients: number;
  readonly connected: number;
  readonly calls: Readonly<Record<CallEnd, number>>;
  readonly lists: { readonly asked: number; readonly failed: number; readonly short: number };
  /** Answers with an HTTP error status or none at all, of all that the clients' transports asked. */
  readonly httpErrors: number;
  readonly streamsEnded: number;
  /** What the clients' transports reported besides. */
  readonly reported: number;
  readonly faults: readonly FaultReport[];
  /** The change after the drill: clients that heard of it on the stream they opened first, and the slowest of them, ms. */
  readonly last: { readonly onOriginal: number; readonly slowestMs: number | undefined };
  /** Up to five different failures in words. */
  readonly words: readonly string[];
};

type Facts = {
  path: string;
  agents: readonly Agent[];
  played: readonly Played[];
  lastMs: number;
  begunMs: number;
};

export function reportOf({ path, agents, played, lastMs, begunMs }: Facts): DrillReport {
  const all = agents.flatMap(({ calls }) => calls);
  const count = (end: CallEnd) => all.filter((call) => call.end === end).length;
  const sum = (of: (agent: Agent) => number) => agents.reduce((total, agent) => total + of(agent), 0);
  const failures = all.filter(({ end }) => end === "transport" || end === "protocol");
  const onOriginal = agents.filter((agent) => isOnOriginal(agent, lastMs));
  return {
    path,
    clients: agents.length,
    connected: agents.filter(({ witness }) => witness !== undefined).length,
    calls: {
      ok: count("ok"),
      told: count("told"),
      transport: count("transport"),
      protocol: count("protocol"),
    },
    lists: {
      asked: sum(({ lists }) => lists.asked),
      failed: sum(({ lists }) => lists.failed),
      short: sum(({ lists }) => lists.short),
    },
    httpErrors: sum(
      ({ witness }) => witness?.statuses.filter((status) => status === 0 || status >= 400).length ?? 0,
    ),
    streamsEnded: sum(({ witness }) => witness?.streams.ended ?? 0),
    reported: sum(({ witness }) => witness?.errors.length ?? 0),
    faults: played.map((one, index) => {
      const untilMs = begunMs + (played[index + 1]?.fault.fromMs ?? Number.POSITIVE_INFINITY);
      // After the last fault the wait for the last change belongs to it.
      return faultReport(agents, one, untilMs);
    }),
    last: {
      onOriginal: onOriginal.length,
      slowestMs: slowest(onOriginal.map((agent) => firstChange(agent, lastMs) - lastMs)),
    },
    words: [...new Set(failures.map(({ text }) => text.slice(0, 120)))].slice(0, 5),
  };
}

function firstChange({ witness }: Agent, sinceMs: number): number {
  return witness?.changes.find((at) => at >= sinceMs) ?? Number.POSITIVE_INFINITY;
}

function isOnOriginal(agent: Agent, sinceMs: number): boolean {
  const { opened = 0, ended = 1 } = agent.witness?.streams ?? {};
  return opened === 1 && ended === 0 && Number.isFinite(firstChange(agent, sinceMs));
}

function slowest(times: readonly number[]): number | undefined {
  return times.length === 0 ? undefined : Math.max(...times);
}

function faultReport(agents: readonly Agent[], played: Played, untilMs: number): FaultReport {
  const { fault, backMs, changedMs } = played;
  const recoveries = agents.flatMap(({ calls }) => {
    const first = calls.find(({ end, endedMs }) => end === "ok" && endedMs >= backMs && endedMs < untilMs);
    return first === undefined ? [] : [first.endedMs - backMs];
  });
  return {
    name: fault.name,
    seconds: `${(fault.fromMs / 1_000).toFixed(1)}–${(fault.toMs / 1_000).toFixed(1)}`,
    recovered: recoveries.length,
    recoveryMs: slowest(recoveries),
    heard: agents.filter((agent) => firstChange(agent, changedMs - 200) < untilMs).length,
  };
}

const within = (count: number, slowestMs: number | undefined) =>
  slowestMs === undefined ? `${count}` : `${count} in ${Math.round(slowestMs)} ms`;

/** One row per fact, one column per path. */
export function markdown(reports: readonly DrillReport[]): string {
  const row = (name: string, of: (report: DrillReport) => string | number) => [
    name,
    ...reports.map((r) => `${of(r)}`),
  ];
  const faults = reports[0]?.faults ?? [];
  const rows = [
    row("clients connected", ({ connected, clients }) => `${connected} of ${clients}`),
    row("real results", ({ calls }) => calls.ok),
    row("told in words (tool result)", ({ calls }) => calls.told),
    row("**transport errors of calls**", ({ calls }) => calls.transport),
    row("protocol errors of calls", ({ calls }) => calls.protocol),
    row(
      "**tool lists lost** (failed or short)",
      ({ lists }) => `${lists.failed + lists.short} of ${lists.asked}`,
    ),
    row("HTTP errors seen by transports", ({ httpErrors }) => httpErrors),
    row("streams ended", ({ streamsEnded }) => streamsEnded),
    row("**change heard on the original stream**", ({ last }) => within(last.onOriginal, last.slowestMs)),
    ...faults.map(({ name, seconds }, index) =>
      row(`${seconds} s: ${name}`, ({ faults: own }) => {
        const one = own[index];
        return one === undefined ? "" : `${within(one.recovered, one.recoveryMs)}; ${one.heard} heard`;
      }),
    ),
  ];
  const head = ["", ...reports.map(({ path }) => path)];
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
