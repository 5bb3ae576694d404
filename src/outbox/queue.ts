/**
 * The records that wait, in memory and in order. Only what the pump and the answers need is held for all of them;
 * the arguments only for the newest few, so that a long outage does not fill the memory.
 */
import type { Limits } from "../limits.ts";
import type { LaneRecord } from "../wire/lane.ts";
import type { OpenRecord } from "./rows.ts";
import { placeOf } from "./sorted.ts";

/** A record that waits. */
export type Entry = OpenRecord & {
  /** The file says that an attempt may have begun: a new one needs no commit of its own. */
  marked: boolean;
  /** What is sent, when it is at hand. */
  payload: LaneRecord | undefined;
};

/** Bytes of a record on the wire besides its arguments: key, ids, names. */
const envelopeBytes = 512;

export type Queue = {
  readonly size: number;
  readonly bytes: number;
  readonly oldest: Entry | undefined;
  get(id: number): Entry | undefined;
  add(entry: Entry): void;
  remove(id: number): void;
  /** Place in the queue; 1 is next. */
  position(id: number): number;
  /** The next records to send: at most `recordsMax`, at least one, within the bytes of a batch. */
  batch(recordsMax: number): Entry[];
  entries(): Iterable<Entry>;
};

const itself = (id: number) => id;

/** An empty queue. */
export function createQueue(limits: Pick<Limits, "batchBytesMax">): Queue {
  const byId = new Map<number, Entry>();
  /** Ids in order; those before `head` are gone. */
  let order: number[] = [];
  let head = 0;
  let bytes = 0;
  let payloadBytes = 0;
  const payloadBytesMax = 4 * limits.batchBytesMax;
  return {
    get size() {
      return byId.size;
    },
    get bytes() {
      return bytes;
    },
    get oldest() {
      const [first] = byId.values();
      return first;
    },
    get: (id) => byId.get(id),
    add(entry) {
      if (entry.payload !== undefined) {
        if (payloadBytes + entry.bytes > payloadBytesMax) entry.payload = undefined;
        else payloadBytes += entry.bytes;
      }
      bytes += entry.bytes;
      byId.set(entry.id, entry);
      if (entry.id < (order[head] ?? 0)) {
        order = order.slice(head);
        head = 0;
      }
      const place = placeOf(order, entry.id, itself);
      if (place === order.length) order.push(entry.id);
      else if (order[place] !== entry.id) order.splice(place, 0, entry.id);
    },
    remove(id) {
      const entry = byId.get(id);
      if (entry === undefined) return;
      byId.delete(id);
      const place = placeOf(order, id, itself);
      if (place === head) head += 1;
      else order.splice(place, 1);
      if (head > 1_024 && head > order.length / 2) {
        order = order.slice(head);
        head = 0;
      }
      bytes -= entry.bytes;
      if (entry.payload !== undefined) payloadBytes -= entry.bytes;
    },
    position: (id) => Math.max(0, placeOf(order, id, itself) - head) + 1,
    batch(recordsMax) {
      const taken: Entry[] = [];
      let size = 0;
      for (const entry of byId.values()) {
        size += entry.bytes + envelopeBytes;
        if (taken.length > 0 && (taken.length >= recordsMax || size > limits.batchBytesMax)) break;
        taken.push(entry);
      }
      return taken;
    },
    entries: () => byId.values(),
  };
}
