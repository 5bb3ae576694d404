/**
 * The outage drill, over agent-relay, nginx and the best of the npm bridges in turn, the same faults at the same
 * seconds. `tools/bun bench/outage.ts`; `--write` puts the table into docs/outage.md, `--only NAME` plays one path.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { waitingClock as clock } from "../src/base/clock.ts";
import { drill } from "./outage/drill.ts";
import { agentRelayPath, bridgePath, nginxPath, type PathOpener, type PathPlace } from "./outage/paths.ts";
import { type DrillReport, markdown } from "./outage/report.ts";

const root = resolve(import.meta.dir, "..");
const document = join(root, "docs", "outage.md");
const paths: Record<string, (place: PathPlace) => PathOpener> = {
  "agent-relay": agentRelayPath,
  nginx: nginxPath,
  bridge: bridgePath,
};

const { values: options } = parseArgs({
  args: Bun.argv.slice(2),
  options: {
    seconds: { type: "string", default: "60" },
    clients: { type: "string", default: "8" },
    only: { type: "string" },
    write: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-drill-"));
  const reports: DrillReport[] = [];
  try {
    for (const [name, path] of Object.entries(paths)) {
      if (options.only !== undefined && options.only !== name) continue;
      const own = join(folder, name);
      mkdirSync(own, { mode: 0o700 });
      const report = await drill({
        command: [process.execPath, join(root, "bench/outage/upstream.ts")],
        folder: own,
        clock,
        seconds: Number(options.seconds),
        clients: Number(options.clients),
        open: path({ folder: own, clock }),
        say: (line) => console.error(line),
      });
      reports.push(report);
      for (const words of report.words) console.error(`  ${words}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const about = `${options.seconds} s, ${options.clients} clients, ${cpus().length} cores, Bun ${Bun.version}`;
  const table = `${about}\n\n${markdown(reports)}`;
  console.log(table);
  if (options.write) write(table);
}

/** Replaces what stands between the markers. */
function write(table: string): void {
  const [begin, end] = ["<!-- drill: begin -->", "<!-- drill: end -->"];
  const text = readFileSync(document, "utf8");
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Write the drill into ${document}: its markers are missing`);
  writeFileSync(document, `${text.slice(0, from + begin.length)}\n\n${table}\n\n${text.slice(to)}`);
}

await main();
process.exit();
