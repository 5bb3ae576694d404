/**
 * Shows each step of the record machine as the product takes it, so that a run can count the cells it has met. The
 * file is loaded with a line that reports; what it decides is not touched. Must be called before the outbox is
 * imported.
 */
import type { RecordEvent, RecordLife, step } from "../../src/outbox/record.ts";

/** What the product asks the machine, and the machine itself without the report. */
type Watch = (life: RecordLife, event: RecordEvent, machine: typeof step) => void;

const slot = Symbol.for("agent-relay record steps");

/** Makes the record machine report; call it first of all, then import the rest. */
export function tapRecords(): void {
  Bun.plugin({
    name: "record steps",
    setup(build) {
      build.onLoad({ filter: /\/src\/outbox\/record\.ts$/ }, async ({ path }) => {
        const source = await Bun.file(path).text();
        const head = "export function step(";
        if (source.split(head).length !== 2) throw new Error(`Tap ${path}: "${head}" was wanted once`);
        const report = `export function step(life: RecordLife, event: RecordEvent, limits: PoisonLimits): RecordStep {
          Reflect.get(globalThis, Symbol.for("agent-relay record steps"))?.(life, event, stepOf);
          return stepOf(life, event, limits);
        }`;
        return { loader: "ts", contents: `${source.replace(head, "function stepOf(")}\n${report}\n` };
      });
    },
  });
}

/** Calls back at every step until the returned function is called. */
export function watchRecords(watch: Watch): () => void {
  Reflect.set(globalThis, slot, watch);
  return () => Reflect.deleteProperty(globalThis, slot);
}
