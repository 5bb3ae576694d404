/** The worker that holds an outbox file: calls that arrive together are one transaction with one fsync. */
import { serveWorker } from "../base/worker.ts";
import { createEngine } from "./engine.ts";

const engine = createEngine();
serveWorker(engine.methods, engine.runTogether);
