/**
 * The load of the relay's bench, in a process of its own. Takes its order as JSON from a file, prints one JSON line
 * with the measurement. `feeds` holds its streams until its input ends.
 */
import { readFileSync } from "node:fs";
import { batches } from "./batches.ts";
import { calls } from "./calls.ts";
import { feeds } from "./feeds.ts";
import { latency } from "./latency.ts";
import { type Measured, type Order, orderSchema } from "./order.ts";

const parts: Record<Order["part"], (order: Order) => Promise<Measured>> = { batches, calls, latency, feeds };

const order = orderSchema.parse(JSON.parse(readFileSync(Bun.argv[2] ?? "", "utf8")));
process.stdout.write(`${JSON.stringify(await parts[order.part](order))}\n`);
if (order.part === "feeds") await new Response(Bun.stdin.stream()).text();
process.exit(0);
