/** `agent-relay audit ls|verify`: the audit log. The chain is recomputed here, not by the relay that is asked. */
import { limits } from "../../limits.ts";
import type { OperationReply } from "../../wire/api.ts";
import { type AuditEntry, type AuditKind, auditStart, auditTable, checkAudit } from "../../wire/audit.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { CliError, exitCodes, type Printer } from "../print.ts";

type Entry = OperationReply<"listAudit">["entries"][number];

/** Prints the newest entries. */
export async function auditList(
  options: RelayOptions & { kind?: AuditKind; limit: number },
  print: Printer,
): Promise<void> {
  const { kind, limit } = options;
  const reply = await operatorClient(options).listAudit({ limit, ...(kind === undefined ? {} : { kind }) });
  const entries = reply.entries.toReversed();
  print.data({ ...reply, entries });
  print.table(
    ["SEQ", "AT", "WHAT", "BY", "ON", "FACTS"],
    entries.map((entry) => [
      String(entry.seq),
      entry.at,
      entry.kind,
      entry.actorName === undefined ? entry.actor : `${entry.actor} ${entry.actorName}`,
      entry.subject ?? "",
      factsText(entry.facts),
    ]),
  );
  if (kind !== undefined) print.line(print.dim(`${kind}: ${auditTable[kind]}`));
}

/** Recomputes the chain; the exit code is 1 when it is broken. */
export async function auditVerify(
  options: RelayOptions & { head?: string },
  print: Printer,
): Promise<number> {
  const wanted = options.head === undefined ? undefined : headOf(options.head);
  const client = operatorClient(options);
  let last = { seq: 0, hash: auditStart };
  let kept = wanted === undefined;
  for (;;) {
    const { entries } = await client.listAudit({ afterSeq: last.seq, limit: limits.auditPageMax });
    if (entries.length === 0) break;
    const check = checkAudit(last, entries.map(entryOf));
    if (check.status === "broken") {
      print.data({ status: "broken", seq: check.seq, why: check.why });
      print.line(`BROKEN at entry ${check.seq}: ${check.why}`);
      return exitCodes.failed;
    }
    kept ||= entries.some(({ seq, hash }) => seq === wanted?.seq && hash === wanted.hash);
    last = { seq: check.seq, hash: check.hash };
  }
  if (!kept) {
    const why = `it does not hold entry ${wanted?.seq} as it was noted: the log was cut or written anew`;
    print.data({ status: "broken", seq: wanted?.seq, why });
    print.line(`BROKEN: ${why}`);
    return exitCodes.failed;
  }
  print.data({ status: "holds", ...last, head: `${last.seq}:${last.hash}` });
  print.line(
    `The chain of ${last.seq} entries holds. Note its head elsewhere; a later check with it shows a cut:`,
  );
  print.line(`  agent-relay audit verify --head ${last.seq}:${last.hash}`);
  return exitCodes.ok;
}

function headOf(text: string): { seq: number; hash: string } {
  const [, seq = "", hash = ""] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (hash !== "") return { seq: Number(seq), hash };
  throw new CliError("usage", `Read --head: '${text}' is not <seq>:<hash>, as 'audit verify' prints it`);
}

function entryOf(entry: Entry): AuditEntry {
  return { ...entry, at: Date.parse(entry.at) };
}

function factsText(facts: Entry["facts"]): string {
  return Object.entries(facts)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}
