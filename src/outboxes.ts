/**
 * The outboxes of a machine: what people see of them and do with them, whoever owns them at the moment, and who looks
 * after those that nobody owns. A wiring: the real clock, disk and network come in here.
 */
import { userInfo } from "node:os";
import { z } from "zod";
import { authorityOf } from "./base/authority.ts";
import { realClock, sleep } from "./base/clock.ts";
import { type Log, silentLog } from "./base/log.ts";
import { processStart } from "./base/process.ts";
import { realRandom } from "./base/random.ts";
import { type Drained, drainOrphans } from "./host/drain.ts";
import { limits } from "./limits.ts";
import {
  inspectOutbox,
  listRecords,
  metricsText,
  type OutboxHandle,
  OutboxOwnedError,
  openOutbox,
} from "./outbox/outbox.ts";
import { type ActionReply, type ActionRequest, act, actionReplySchema } from "./runner/actions.ts";
import { appendAudit } from "./runner/audit.ts";
import { checkHome } from "./runner/checkup.ts";
import { type ControlSources, controlPaths } from "./runner/control.ts";
import { type EnrolledCredential, isEnrolled, listCredentials } from "./runner/credential.ts";
import { askControl, type LocalPlace, localPlaces, ownedRecords } from "./runner/local.ts";
import { createClient } from "./sdk/client.ts";
import { relayDeliverer } from "./sdk/deliverer.ts";
import { asId } from "./wire/id.ts";
import { type Deliverer, DeliveryError, type RecordDetail, type RecordView } from "./wire/write.ts";

export type { ActionReply, ActionRequest, OutboxAction } from "./runner/actions.ts";

type OpenOptions = Parameters<typeof openOutbox>[0];

/** Opens the outbox of an agent that starts: one that is only being looked at or drained is waited for shortly. */
export async function openOwnOutbox(options: OpenOptions): Promise<OutboxHandle> {
  const end = realClock.monotonic() + limits.drainerWaitMs;
  for (;;) {
    try {
      return await openOutbox(options);
    } catch (error) {
      if (!(error instanceof OutboxOwnedError) || realClock.monotonic() > end) throw error;
      // A note of a process that has ended is older than the lock of whoever looks now.
      const runs = error.pid !== undefined && processStart(error.pid) !== undefined;
      if (runs && !error.drains) throw error;
      await sleep(realClock, 50);
    }
  }
}

type Named = { home: string; name: string };

/** What the control server of an outbox's owner serves of it. */
export function outboxSources(
  outbox: OutboxHandle,
  { home, name }: Named,
): Pick<Required<ControlSources>, "records" | "record" | "metrics" | "act"> {
  return {
    records: () => outbox.records(),
    record: (id, body) => outbox.show(id, { body }),
    metrics: async () => metricsText(name, await outbox.metrics()),
    act: (request) => act(outbox, request, auditOf({ home, name })),
  };
}

function auditOf({ home, name }: Named): (action: string, keys: readonly string[]) => void {
  return (action, keys) =>
    appendAudit(home, {
      ...{ at: new Date(realClock.now()).toISOString(), by: userInfo().username, pid: process.pid },
      ...{ action, outbox: name, keys },
    });
}

/** A record with the name of its outbox. */
export type LocalRecord = RecordView & { outbox: string };

/** The records of every outbox of a home, asked from its owner or read from its file. */
export async function localRecords(home: string, name: string | undefined): Promise<LocalRecord[]> {
  const lists = await Promise.all(
    placesOf(home, name).map(async (place) => {
      const owned = await ownedRecords(place.folder, controlSignal());
      const records = owned ?? (await listRecords(place.outbox, limits));
      return records.map((record) => ({ outbox: place.name, ...record }));
    }),
  );
  return lists.flat();
}

/** The outboxes of a home that have this name, or all. */
export function outboxNames(home: string, name: string | undefined): string[] {
  return placesOf(home, name).map((place) => place.name);
}

/** One record in full; what was written only with `body`. Undefined when there is none of this number. */
export async function localRecord(
  { home, name }: Named,
  id: number,
  body: boolean,
): Promise<RecordDetail | undefined> {
  const place = placeOf(home, name);
  const query = [["id", String(id)] as const, ...(body ? [["body", "1"] as const] : [])];
  const answer = await askControl(place.folder, { path: controlPaths.record, query }, controlSignal());
  // The control server is ours and this is what it sends; another program's answer was not taken.
  if (answer !== undefined) return (answer as { record: RecordDetail }).record;
  return withUnowned(place, (outbox) => outbox.show(id, { body }));
}

/** Does what a person asks for: by the owner when one runs, else on the file under its lock. */
export async function actOn({ home, name }: Named, request: ActionRequest): Promise<ActionReply> {
  const place = placeOf(home, name);
  const query = [
    ["action", request.action] as const,
    ...request.ids.map((id) => ["id", String(id)] as const),
  ];
  const question = { path: controlPaths.act, method: "POST", query } as const;
  const answer = await askControl(place.folder, question, controlSignal());
  if (answer !== undefined) return actionReplySchema.parse(answer);
  const reply = await withUnowned(place, (outbox) => act(outbox, request, auditOf({ home, name })));
  if (reply !== undefined) return reply;
  return { done: 0, refused: request.ids.map((id) => ({ id, reason: "there is no outbox yet" })) };
}

/** Opens a store that nobody owns without delivering anything; undefined when there is none. */
async function withUnowned<Value>(
  place: LocalPlace,
  work: (outbox: OutboxHandle) => Promise<Value>,
): Promise<Value | undefined> {
  const { identity } = await inspectOutbox(place.outbox, limits);
  if (identity === undefined) return undefined;
  const outbox = await openOutbox({ ...storeOptions(place, identity, silentLog), deliverer: nobody });
  try {
    return await work(outbox);
  } finally {
    await outbox.close();
  }
}

function storeOptions(
  place: LocalPlace,
  { relayId, agentId }: { relayId: string; agentId: string },
  log: Log,
): Omit<OpenOptions, "deliverer"> {
  const world = { limits, clock: realClock, random: realRandom, log };
  return { ...world, dir: place.outbox, relayId, agentId: asId(agentId) };
}

/** Takes nothing. */
const nobody: Deliverer = {
  open: () => Promise.reject(new DeliveryError("unreachable", "no", "nothing is delivered here")),
  deliver: () => Promise.reject(new DeliveryError("unreachable", "no", "nothing is delivered here")),
  probe: () => Promise.resolve(false),
};

type OrphanPlace = { name: string; waiting: number; place: LocalPlace; credential: EnrolledCredential };

/** Delivers what agents that do not run have left, each with its own credential, to its own relay. */
export async function drainHome(home: string, log: Log, signal: AbortSignal): Promise<Drained[]> {
  const ca = authorityOf(home);
  const client = ({ relayUrl, secret }: EnrolledCredential) =>
    createClient({ url: relayUrl, token: () => secret, timeoutMs: limits.probeAttemptMs, ca });
  return drainOrphans({
    ...{ clock: realClock, limits, log, signal, orphans: await orphansOf(home) },
    answers: async ({ credential }: OrphanPlace) => {
      const relay = await client(credential)
        .getRelay({}, { signal })
        .catch(() => undefined);
      return relay?.relayId === credential.relayId;
    },
    hold: async ({ place, credential }: OrphanPlace) => {
      const { relayUrl, secret } = credential;
      const relay = createClient({ url: relayUrl, token: () => secret, ca });
      const outbox = await openOutbox({
        ...storeOptions(place, credential, log),
        purpose: "drain",
        deliverer: (storeId) => relayDeliverer(relay, storeId),
      }).catch((error: unknown) => {
        if (error instanceof OutboxOwnedError) return undefined;
        throw error;
      });
      if (outbox === undefined) return undefined;
      return {
        flush: (ms) => outbox.flush(ms),
        blocked: () => (outbox.status().state === "paused" ? "it is paused" : undefined),
        left: () => outbox.status().depth,
        close: () => outbox.close(),
      };
    },
  });
}

/** The agents of a home that do not run and have left writes. */
async function orphansOf(home: string): Promise<OrphanPlace[]> {
  const credentials = listCredentials(home).filter(isEnrolled);
  const found: OrphanPlace[] = [];
  for (const place of localPlaces(home)) {
    const credential = credentials.find(
      ({ agentName, agentId }) => agentName === place.name && place.folder.endsWith(agentId),
    );
    const waiting = credential === undefined ? undefined : await waitingIn(place);
    if (credential !== undefined && waiting !== undefined && waiting > 0)
      found.push({ name: place.name, waiting, place, credential });
  }
  return found;
}

/** How many writes wait in a store that nobody owns; undefined when it cannot be read. */
export async function waitingIn({ outbox }: LocalPlace): Promise<number | undefined> {
  const records = await listRecords(outbox, limits).catch(() => undefined);
  return records?.filter(isWaiting).length;
}

function isWaiting({ state }: RecordView): boolean {
  return state === "queued" || state === "sending";
}

const ownerSchema = z.object({
  outbox: z.object({ state: z.string(), depth: z.number(), lastError: z.string().optional() }).optional(),
});

/** One thing that `doctor` has looked at. */
export type Finding = { level: "good" | "note" | "bad"; subject: string; detail: string };

/** Clocks further apart than this are worth a note: expiry and people compare times. */
const clockSkewNoteMs = 5_000;

/** Looks at everything that can be wrong on this machine. Changes nothing. */
export async function diagnose(home: string, relay: { url: string } | { why: string }): Promise<Finding[]> {
  const checkup = checkHome(home);
  const relayFindings =
    "url" in relay ? await diagnoseRelay(relay.url, authorityOf(home)) : [bad("relay", relay.why)];
  if (checkup === undefined) return [...relayFindings, note("home", `${home} is not there yet`)];
  const { freeBytes, open, damaged } = checkup;
  const enough = freeBytes >= limits.outboxFreeBytesMin + limits.outboxReserveBytes;
  const room = `${Math.floor(freeBytes / 2 ** 20)} MiB are free`;
  const places = await Promise.all(localPlaces(home).map(diagnosePlace));
  return [
    ...relayFindings,
    enough
      ? good("disk", room)
      : bad("disk", `${room}; new writes are refused below ${limits.outboxFreeBytesMin} bytes`),
    open.length === 0
      ? good("permissions", "only you can read the home")
      : bad("permissions", openText(open)),
    ...damaged.map((path) =>
      note("damaged file", `${path} was set aside; what it lost was told to its agent`),
    ),
    ...places,
  ];
}

function openText(open: { path: string; mode: string }[]): string {
  const named = open.slice(0, 3).map(({ path, mode }) => `${path} (${mode})`);
  const more = open.length > named.length ? ` and ${open.length - named.length} more` : "";
  return `others may read ${named.join(", ")}${more}; 'chmod -R go-rwx' takes that away`;
}

async function diagnoseRelay(url: string, ca: string | undefined): Promise<Finding[]> {
  const before = realClock.monotonic();
  const client = createClient({ url, token: () => undefined, timeoutMs: limits.probeAttemptMs, ca });
  try {
    const { version, relayTime } = await client.getRelay({});
    const took = Math.round(realClock.monotonic() - before);
    return [good("relay", `${url} answers in ${took} ms, version ${version}`), clockFinding(relayTime)];
  } catch (error) {
    return [bad("relay", error instanceof Error ? error.message : String(error))];
  }
}

function clockFinding(relayTime: string | undefined): Finding {
  if (relayTime === undefined) return note("clock", "the relay is too old to tell its time");
  const skew = Math.abs(Date.parse(relayTime) - realClock.now());
  return skew < clockSkewNoteMs
    ? good("clock", "agrees with the relay's")
    : note("clock", `is ${Math.round(skew / 1_000)} s away from the relay's`);
}

async function diagnosePlace(place: LocalPlace): Promise<Finding> {
  const subject = `outbox of ${place.name}`;
  const running = ownerSchema.safeParse(await askControl(place.folder, controlPaths.status, controlSignal()));
  if (running.success && running.data.outbox !== undefined) {
    const { state, depth, lastError } = running.data.outbox;
    const text = `its owner runs, ${state}, ${depth} writes wait${lastError === undefined ? "" : `; last: ${lastError}`}`;
    return { level: state === "damaged" || state === "paused" ? "bad" : "good", subject, detail: text };
  }
  try {
    const records = await listRecords(place.outbox, limits);
    const waiting = records.filter(isWaiting).length;
    if (waiting === 0) return good(subject, "nobody runs it and nothing waits");
    const next =
      place.kind === "agent" ? "the next 'up' or 'run' delivers them" : "its next 'proxy' delivers them";
    return note(subject, `orphan: nobody runs it and ${waiting} writes wait; ${next}`);
  } catch (error) {
    return bad(subject, error instanceof Error ? error.message : String(error));
  }
}

const good = (subject: string, detail: string): Finding => ({ level: "good", subject, detail });
const note = (subject: string, detail: string): Finding => ({ level: "note", subject, detail });
const bad = (subject: string, detail: string): Finding => ({ level: "bad", subject, detail });

function placesOf(home: string, name: string | undefined): LocalPlace[] {
  return localPlaces(home).filter((place) => name === undefined || place.name === name);
}

function placeOf(home: string, name: string): LocalPlace {
  const [place] = placesOf(home, name);
  if (place === undefined) throw new Error(`Find the outbox of ${name}: this home has none of that name`);
  return place;
}

function controlSignal(): AbortSignal {
  return AbortSignal.timeout(limits.controlRequestMs);
}
