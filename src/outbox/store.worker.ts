/** The worker that holds an outbox file: calls that arrive together are one transaction with one fsync. */
import { serveWorker } from "../base/worker.ts";
import { Engine } from "./engine.ts";

const engine = new Engine();
serveWorker(engine.methods, (runs, answer) => engine.runTogether(runs, answer));
