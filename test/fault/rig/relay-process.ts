/** The relay of the rig as a process: the product's server, whose database worker can die at its points. */
import "./crash-worker.ts";
import "./lifeline.ts";
import { waitingClock } from "../../../src/base/clock.ts";
import { createLog } from "../../../src/base/log.ts";
import { startServer } from "../../../src/server.ts";

const home = process.argv[2] ?? "";
const server = await startServer({
  ...{ home, port: 0, version: "0.0.0", clock: waitingClock },
  log: createLog("warn", (line) => process.stderr.write(line)),
});
process.on("SIGTERM", () => {
  void server.close().then(() => process.exit(0));
});
const { url, operatorTokenFile, relayId } = server;
process.stdout.write(`${JSON.stringify({ url, operatorTokenFile, relayId })}\n`);
