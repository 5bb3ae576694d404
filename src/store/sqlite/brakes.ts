/** Brakes in SQLite: one row for each sender, read and written once for a batch. Belongs inside a transaction. */
import type { Database } from "bun:sqlite";
import type { AgentId } from "../../wire/id.ts";
import {
  type BrakedWrite,
  type BrakeFault,
  type BrakeState,
  type Brakes,
  quarantineFault,
  type Repeat,
  type Taken,
  takeWrite,
  unbraked,
} from "../brakes.ts";
import type { Quarantine } from "../store.ts";

type BrakeRow = {
  burst: number | null;
  perMinute: number | null;
  fanOutMax: number | null;
  hopsMax: number | null;
  used: number | null;
  at: number | null;
  repeats: string | null;
  quarantineReason: string | null;
};

/** The brakes on one batch. */
export type BatchBrake = {
  /** From the sender's profile; undefined for those that have none. */
  readonly brakes: Brakes | undefined;
  /** Why none of its writes may be stored. */
  readonly fault: BrakeFault | undefined;
  /** Takes the price of a write that is about to be stored or refused; undefined when it may be. */
  take(write: BrakedWrite): Extract<Taken, { status: "limited" }> | undefined;
  /** Writes down what was taken. */
  settle(): void;
};

/** A function that finds the brakes of a sender. */
export function brakeKeeper(database: Database): (sender: AgentId, now: number) => BatchBrake {
  const find = database.prepare<BrakeRow, [string]>(
    `SELECT p.burst, p.per_minute AS perMinute, p.fan_out_max AS fanOutMax, p.hops_max AS hopsMax,
       b.used, b.used_at AS at, b.repeats, b.quarantine_reason AS quarantineReason
     FROM agents a LEFT JOIN profiles p ON p.name = a.profile LEFT JOIN brakes b ON b.agent_id = a.id
     WHERE a.id = ?1`,
  );
  const save = database.prepare<unknown, [string, number, number, string]>(
    `INSERT INTO brakes (agent_id, used, used_at, repeats) VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (agent_id) DO UPDATE SET used = ?2, used_at = ?3, repeats = ?4`,
  );

  return (sender, now) => {
    const row = find.get(sender);
    const brakes = brakesOf(row);
    let state = stateOf(row);
    let changed = false;
    return {
      brakes,
      fault: row?.quarantineReason == null ? undefined : quarantineFault(row.quarantineReason),
      take(write) {
        if (brakes === undefined) return undefined;
        const taken = takeWrite(state, write, { brakes, now });
        changed ||= taken.status === "passed" || taken.state.at !== state.at;
        state = taken.state;
        return taken.status === "limited" ? taken : undefined;
      },
      settle() {
        if (changed) save.run(sender, state.used, state.at, JSON.stringify(state.repeats));
      },
    };
  };
}

/** The verbs about quarantine. */
export function quarantineVerbs(database: Database) {
  const stop = database.prepare<unknown, [string, string, number]>(
    `INSERT INTO brakes (agent_id, quarantined_at, quarantine_reason) VALUES (?1, ?3, ?2)
     ON CONFLICT (agent_id) DO UPDATE SET quarantined_at = ?3, quarantine_reason = ?2 WHERE quarantined_at IS NULL`,
  );
  const free = database.prepare<unknown, [string]>(
    `UPDATE brakes SET quarantined_at = NULL, quarantine_reason = NULL
     WHERE agent_id = ?1 AND quarantined_at IS NOT NULL`,
  );
  const all = database.prepare<Quarantine, []>(
    `SELECT b.agent_id AS agentId, a.name, b.quarantined_at AS since, b.quarantine_reason AS reason
     FROM brakes b CROSS JOIN agents a ON a.id = b.agent_id
     WHERE b.quarantined_at IS NOT NULL ORDER BY b.quarantined_at`,
  );
  return {
    quarantine: (agentId: AgentId, reason: string, now: number): boolean =>
      stop.run(agentId, reason, now).changes > 0,
    release: (agentId: AgentId): boolean => free.run(agentId).changes > 0,
    quarantines: (): Quarantine[] => all.all(),
  };
}

function brakesOf(row: BrakeRow | null): Brakes | undefined {
  if (row === null) return undefined;
  const { burst, perMinute, fanOutMax, hopsMax } = row;
  if (burst === null || perMinute === null || fanOutMax === null || hopsMax === null) return undefined;
  return { burst, perMinute, fanOutMax, hopsMax };
}

function stateOf(row: BrakeRow | null): BrakeState {
  if (row === null || row.used === null || row.at === null || row.repeats === null) return unbraked;
  // Written by `settle` from the same type.
  return { used: row.used, at: row.at, repeats: JSON.parse(row.repeats) as Repeat[] };
}
