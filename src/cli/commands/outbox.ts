/** `agent-relay outbox …`: writes on this machine that wait or have ended lately, and what people do with them. */
import { realClock } from "../../base/clock.ts";
import {
  actOn,
  type LocalRecord,
  localRecord,
  localRecords,
  type OutboxAction,
  outboxNames,
} from "../../outboxes.ts";
import { ageText, CliError, exitCodes, type Printer } from "../print.ts";

type Place = { home: string; name?: string };
export type OutboxListOptions = Place & { all?: boolean };

/** Prints the records of all outboxes of the home. */
export async function outboxList(options: OutboxListOptions, print: Printer): Promise<void> {
  const found = await localRecords(options.home, options.name);
  const records = found.filter(({ state }) => options.all === true || state !== "sent");
  print.data({ records });
  if (records.length === 0) {
    print.line(
      options.name === undefined ? "Nothing waits on this machine" : `Nothing of ${options.name} waits here`,
    );
    return;
  }
  const now = realClock.now();
  print.table(
    ["NO", "OUTBOX", "STATE", "TOOL", "TO", "AGE", "TRIES", "KEY", "LAST ERROR"],
    records.map((record) => [
      String(record.id),
      record.outbox,
      record.state,
      record.tool,
      record.to ?? "",
      ageText(now - Date.parse(record.enqueuedAt)),
      String(record.attempts),
      record.key,
      record.lastError ?? "",
    ]),
  );
}

/** Prints one record; what was written only with `--body`. */
export async function outboxShow(
  options: Place & { record: string; body?: boolean },
  print: Printer,
): Promise<void> {
  const { home, record, body = false } = options;
  const [found] = await find(options, [record]);
  if (found === undefined) throw notFound(record);
  const detail = await localRecord({ home, name: found.outbox }, found.id, body);
  if (detail === undefined) throw notFound(record);
  print.data({ record: { outbox: found.outbox, ...detail } });
  const { arguments: written, ...facts } = detail;
  for (const [name, value] of Object.entries({ outbox: found.outbox, ...facts }))
    if (value !== undefined && value !== "") print.line(`${name.padEnd(12)} ${value}`);
  if (written !== undefined) print.line(`${"arguments".padEnd(12)} ${JSON.stringify(written, null, 2)}`);
  else if (body) print.line("What was written is no longer kept.");
}

/** One line of JSON for each record that waits, with what was written. */
export async function outboxExport(options: Place, write: (text: string) => void): Promise<void> {
  const { home } = options;
  const waiting = (await localRecords(home, options.name)).filter(
    ({ state }) => state === "queued" || state === "sending",
  );
  for (const { outbox, id } of waiting) {
    const record = await localRecord({ home, name: outbox }, id, true);
    if (record !== undefined) write(`${JSON.stringify({ outbox, ...record })}\n`);
  }
}

/** Drops, sends again, pauses or resumes; the exit code is 1 when something of it was not done. */
export async function outboxAct(
  options: Place & { action: string; records: readonly string[] },
  print: Printer,
): Promise<number> {
  const { home, records } = options;
  // The command table names no other.
  const action = options.action as OutboxAction;
  const whole = action === "pause" || action === "resume";
  const ids = new Map<string, number[]>();
  if (whole) ids.set(oneName(options), []);
  else
    for (const { outbox, id } of await find(options, records))
      ids.set(outbox, [...(ids.get(outbox) ?? []), id]);
  let ok = true;
  for (const [name, some] of ids) {
    const reply = await actOn({ home, name }, { action, ids: some });
    ok &&= reply.refused.length === 0;
    print.data({ outbox: name, action, ...reply });
    print.line(`${name}: ${doneText[action](reply.done)}`);
    for (const { id, reason } of reply.refused) print.line(`  record ${id} was left alone: ${reason}`);
  }
  return ok ? exitCodes.ok : exitCodes.failed;
}

const doneText: Record<OutboxAction, (done: number) => string> = {
  drop: (done) => `${done} taken out of the queue; the agent gets a notice of each`,
  retry: (done) => `${done} put into the queue again, each as a new write with its own key and id`,
  pause: () => "paused; writes are taken and wait until 'outbox resume'",
  resume: () => "goes on",
};

function oneName({ home, name }: Place): string {
  const names = outboxNames(home, name);
  const [only] = names;
  if (only !== undefined && names.length === 1) return only;
  throw new CliError(
    "usage",
    names.length === 0
      ? `Find the outbox${name === undefined ? "" : ` of ${name}`}: this home has none`
      : `Choose an outbox: there are ${names.length}, give --name with one of ${names.join(", ")}`,
  );
}

/** The records that people mean: by number in one outbox, by key or message id in all. */
async function find(place: Place, wanted: readonly string[]): Promise<LocalRecord[]> {
  const records = await localRecords(place.home, place.name);
  return wanted.map((text) => {
    const byName = records.filter(({ key, messageId }) => key === text || messageId === text);
    const found = byName.length > 0 ? byName : records.filter(({ id }) => String(id) === text);
    const [only] = found;
    if (only === undefined) throw notFound(text);
    if (found.length === 1) return only;
    const outboxes = found.map(({ outbox }) => outbox).join(", ");
    throw new CliError("usage", `Find record ${text}: there is one in each of ${outboxes}; give --name`);
  });
}

function notFound(record: string): CliError {
  return new CliError(
    "usage",
    `Find record ${record}: there is none, 'agent-relay outbox ls --all' lists them`,
  );
}
