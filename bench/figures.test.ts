/** The arithmetic of the bench: a wrong median would make a wrong table look right. */
import { expect, test } from "bun:test";
import { figuresOf, markdown, type Round, ratios, spreadOf } from "./figures.ts";

const round = (path: string, clients: number, p50Ms: number, perSecond: number): Round => ({
  path,
  clients,
  oneCore: clients === 1,
  p50Ms,
  p99Ms: p50Ms * 3,
  perSecond,
  proxyCpuUs: 10,
  upstreamCpuUs: 20,
});

test("the median of odd and even numbers of rounds, and the extremes", () => {
  expect(spreadOf([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
  expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 });
  expect(spreadOf([7])).toEqual({ median: 7, min: 7, max: 7 });
});

test("the ratios are of added latency at one client and of throughput at 32", () => {
  const rounds = [
    round("direct", 1, 0.1, 9000),
    round("nginx", 1, 0.15, 6000),
    round("agent-relay", 1, 0.2, 5000),
    round("direct", 32, 1, 40_000),
    round("nginx", 32, 2, 20_000),
    round("agent-relay", 32, 2.5, 16_000),
  ];
  const figures = [1, 32].flatMap((clients) =>
    ["direct", "nginx", "agent-relay"].map((path) =>
      figuresOf(rounds, { path, clients, oneCore: clients === 1 }),
    ),
  );
  const { addedLatency, throughput } = ratios(figures);
  expect(addedLatency).toBeCloseTo(2, 6);
  expect(throughput).toBeCloseTo(0.8, 6);
  expect(markdown(figures).split("\n")).toHaveLength(8);
  expect(markdown(figures)).toContain("| direct      | 1, one core | 0.100 (0.100–0.100) |");
});

test("rounds of other paths and other numbers of clients are left out", () => {
  const rounds = [round("nginx", 1, 1, 1), round("nginx", 32, 9, 9), round("direct", 1, 5, 5)];
  expect(figuresOf(rounds, { path: "nginx", clients: 1, oneCore: true })).toMatchObject({
    rounds: 1,
    p50: { median: 1, min: 1, max: 1 },
  });
});
