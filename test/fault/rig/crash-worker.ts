/** Imported first by the rig's processes: every worker that the product starts loads the rig's preload before its own code. */
import { join } from "node:path";

const Plain = globalThis.Worker;
const preload = [join(import.meta.dir, "crash-preload.ts")];

globalThis.Worker = class extends Plain {
  constructor(url: string | URL, options: WorkerOptions = {}) {
    super(url, { ...options, preload });
  }
} as typeof Worker;
