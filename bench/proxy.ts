/**
 * What the proxy costs: the same calls to the same upstream directly, through nginx, through the barest hop that the
 * runtime allows, and through `agent-relay proxy`, in one run, the paths taking turns. `npm run bench`; `-- --write` puts the table into docs/performance.md.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { firstLine, launch, type Program, stopAll, until } from "../examples/demo/programs.ts";
import { type Clock, realClock } from "../src/base/clock.ts";
import { figuresOf, markdown, type Round, ratios } from "./figures.ts";
import { nginxConfiguration } from "./nginx.ts";
import { cpuSeconds, familyOf, residentMiB } from "./process.ts";

type Setting = Pick<Round, "clients" | "oneCore">;
type Path = { name: string; url: string; secret: string; program: Program | undefined };

const root = resolve(import.meta.dir, "..");
const bun = join(root, "tools", "bun");
const document = join(root, "docs", "performance.md");
/** One client waits for wake-ups across cores more than for work, so it is also measured with all on one core. */
const settings: Setting[] = [
  { clients: 1, oneCore: true },
  { clients: 1, oneCore: false },
  { clients: 32, oneCore: false },
];
const readySchema = z.object({ url: z.string(), secretFile: z.string().optional() });
const measurementSchema = z.object({
  calls: z.number(),
  failed: z.number(),
  perSecond: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
});
const clock: Clock = {
  ...realClock,
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

const { values: options } = parseArgs({
  args: Bun.argv.slice(2),
  options: {
    rounds: { type: "string", default: "7" },
    seconds: { type: "string", default: "2" },
    write: { type: "boolean", default: false },
  },
});

process.exitCode = await main(Number(options.rounds), Number(options.seconds) * 1000, options.write);
process.exit();

async function main(roundCount: number, measureMs: number, write: boolean): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-bench-"));
  const programs: Program[] = [];
  try {
    const echo = start(programs, folder, "echo", [bun, join(root, "bench", "echo.ts")]);
    const upstream = (await ready(echo)).url;
    const paths: Path[] = [
      { name: "direct", url: upstream, secret: "none", program: undefined },
      await startNginx(programs, folder, upstream),
      await startBare(programs, folder, upstream),
      await startProxy(programs, folder, upstream),
    ];
    const rounds: Round[] = [];
    for (let round = 1; round <= roundCount; round++) {
      for (const setting of settings) {
        for (const pid of programs.flatMap((program) => familyOf(program.pid))) allow(pid, setting.oneCore);
        // Each round begins with another path, so that no path always runs on a warmer machine.
        for (let turn = 0; turn < paths.length; turn++) {
          const path = paths[(round + turn) % paths.length];
          if (path !== undefined) rounds.push(measure({ path, echo, setting, measureMs }));
        }
      }
      console.error(`round ${round} of ${roundCount}`);
    }
    conclude(rounds, paths, { roundCount, measureMs, write });
    return 0;
  } finally {
    await stopAll(
      programs.filter(({ running }) => running()),
      6_000,
      clock,
    );
    rmSync(folder, { recursive: true, force: true });
  }
}

function start(programs: Program[], folder: string, name: string, command: string[]): Program {
  const program = launch({ name, command, folder, environment: process.env });
  programs.push(program);
  return program;
}

async function ready(program: Program) {
  const signal = new AbortController().signal;
  const wait = { what: `${program.name} to be ready`, forMs: 15_000, clock, signal };
  return readySchema.parse(JSON.parse(await until(wait, () => firstLine(program, 0))));
}

async function startNginx(programs: Program[], folder: string, upstream: string): Promise<Path> {
  const nginx = Bun.which("nginx", { PATH: `${process.env.PATH}:/usr/sbin` });
  if (nginx === null) throw new Error("Find nginx: it is not installed, the bench compares with it");
  const port = freePort();
  const configuration = join(folder, "nginx.conf");
  writeFileSync(configuration, nginxConfiguration({ folder, port, upstream }));
  const command = [nginx, "-p", folder, "-e", join(folder, "error.log"), "-c", configuration];
  const program = start(programs, folder, "nginx", command);
  return { name: "nginx", url: `http://127.0.0.1:${port}/mcp`, secret: "none", program };
}

async function startBare(programs: Program[], folder: string, upstream: string): Promise<Path> {
  const program = start(programs, folder, "bare", [bun, join(root, "bench", "bare.ts"), upstream]);
  return { name: "bare Bun", url: (await ready(program)).url, secret: "none", program };
}

async function startProxy(programs: Program[], folder: string, upstream: string): Promise<Path> {
  const home = join(folder, "home");
  const command = [
    join(root, "bin", "agent-relay"),
    "proxy",
    "--upstream",
    upstream,
    "--home",
    home,
    "--json",
  ];
  const program = start(programs, folder, "agent-relay", command);
  const { url, secretFile = "" } = await ready(program);
  return { name: "agent-relay", url, secret: readFileSync(secretFile, "utf8").trim(), program };
}

/** A port that was free a moment ago: nginx cannot choose one itself. */
function freePort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  probe.stop(true);
  return port;
}

/** Lets a process and its threads run on the first core only, or on all. */
function allow(pid: number, oneCore: boolean): void {
  const cores = oneCore ? "0" : `0-${cpus().length - 1}`;
  const { status, stderr } = spawnSync("taskset", ["-a", "-c", "-p", cores, String(pid)]);
  if (status !== 0) throw new Error(`Run process ${pid} on core ${cores}: ${stderr.toString()}`);
}

function measure(options: { path: Path; echo: Program; setting: Setting; measureMs: number }): Round {
  const { path, echo, setting, measureMs } = options;
  const { clients, oneCore } = setting;
  const warmupMs = 500;
  const cpuOf = () =>
    [path.program === undefined ? 0 : cpuSeconds(path.program.pid), cpuSeconds(echo.pid)] as const;
  const before = cpuOf();
  const order = { url: path.url, secret: path.secret, clients, warmupMs, measureMs };
  const command = [bun, join(root, "bench", "load.ts"), JSON.stringify(order)];
  const load = spawnSync("taskset", ["-c", oneCore ? "0" : `0-${cpus().length - 1}`, ...command], {
    encoding: "utf8",
    timeout: warmupMs + measureMs + 20_000,
  });
  const after = cpuOf();
  const result = measurementSchema.safeParse(JSON.parse(load.stdout.trim() || "{}"));
  if (!result.success) throw new Error(`Measure ${path.name}: ${load.stderr.slice(-300)}`);
  const { failed, calls, ...figures } = result.data;
  if (failed > 0 || calls === 0) throw new Error(`Measure ${path.name}: ${failed} of ${calls} calls failed`);
  // The warm-up's calls cost CPU too: they are counted in at the measured rate.
  const all = figures.perSecond * ((warmupMs + measureMs) / 1000);
  const perCall = (index: 0 | 1) => ((after[index] - before[index]) / all) * 1e6;
  return { path: path.name, ...setting, ...figures, proxyCpuUs: perCall(0), upstreamCpuUs: perCall(1) };
}

function conclude(
  rounds: Round[],
  paths: Path[],
  run: { roundCount: number; measureMs: number; write: boolean },
): void {
  const figures = settings.flatMap((setting) =>
    paths.map(({ name }) => figuresOf(rounds, { path: name, ...setting })),
  );
  const { addedLatency, addedLatencyAllCores, throughput } = ratios(figures);
  const memory = paths
    .flatMap(({ name, program }) =>
      program === undefined ? [] : [`${name} ${residentMiB(program.pid).toFixed(0)} MiB`],
    )
    .join(", ");
  const text = [
    markdown(figures),
    "",
    `Median of ${run.roundCount} rounds (least–greatest), ${run.measureMs / 1000} s each after 0.5 s warm-up; ${cpus().length} cores shared by load, proxy and upstream.`,
    "",
    `- Added latency at 1 client, relative to nginx: ${addedLatency.toFixed(2)} × all on one core, ${addedLatencyAllCores.toFixed(2)} × over all cores.`,
    `- Throughput at 32 clients, relative to nginx: ${throughput.toFixed(2)} ×.`,
    `- Resident memory after the run: ${memory}.`,
  ].join("\n");
  console.log(text);
  if (!run.write) return;
  const [begin, end] = ["<!-- bench: begin -->", "<!-- bench: end -->"];
  const old = readFileSync(document, "utf8");
  const [before = "", rest = ""] = old.split(begin);
  const after = rest.split(end)[1] ?? "";
  writeFileSync(document, `${before}${begin}\n\n${text}\n\n${end}${after}`);
}
