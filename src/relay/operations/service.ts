/** Operations of people about the relay as a whole: its audit log and its backups. */
import { limits } from "../../limits.ts";
import type { AuditEntry } from "../../wire/audit.ts";
import type { Backup } from "../backup.ts";
import { timeText } from "../relay.ts";
import { known, type Operation } from "./operation.ts";

export const listAudit: Operation<"listAudit"> = async ({ store }, input) => {
  const { afterSeq, beforeSeq, kind, limit = limits.inboxPageDefault } = input;
  const query =
    afterSeq === undefined
      ? { ...(beforeSeq === undefined ? {} : { beforeSeq }), kind, limit }
      : { afterSeq, limit };
  const [entries, [newest]] = await Promise.all([store.readAudit(query), store.readAudit({ limit: 1 })]);
  return {
    entries: entries.map(entryView),
    ...(newest === undefined ? {} : { newest: { seq: newest.seq, hash: newest.hash } }),
  };
};

export const makeBackup: Operation<"makeBackup"> = async ({ backups }, _, by) =>
  backupView(await backups.begin(known(by)));

export const getBackup: Operation<"getBackup"> = async ({ backups }, { id }) => backupView(backups.find(id));

function entryView(entry: AuditEntry) {
  return { ...entry, at: timeText(entry.at) };
}

function backupView({ startedAt, endedAt, ...rest }: Backup) {
  return {
    ...rest,
    startedAt: timeText(startedAt),
    ...(endedAt === undefined ? {} : { endedAt: timeText(endedAt) }),
  };
}
