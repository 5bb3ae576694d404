/** The world in which the conformance tests of a relay's store run: short ways to enrol, write and read. */
import { seededRandom } from "../../src/base/random.ts";
import type {
  Agent,
  Enrolment,
  EnrolmentResult,
  NewToken,
  RelayStore,
  Write,
  WriteBatch,
  WriteBatchResult,
} from "../../src/store/store.ts";
import {
  type AgentId,
  asId,
  type IdempotencyKey,
  type MessageId,
  type TokenId,
  uuidV7,
} from "../../src/wire/id.ts";
import type { LaneOutcome } from "../../src/wire/lane.ts";
import type { Message } from "../../src/wire/message.ts";
import { defaultProfile } from "../../src/wire/scope.ts";
import { tokenHash } from "../../src/wire/token.ts";

export type OpenedStore = {
  store: RelayStore;
  /** Closes the store and opens the same data again; a twin without lasting data leaves it out. */
  reopen?(): Promise<RelayStore>;
  close(): Promise<void>;
};
export type OpenStore = () => Promise<OpenedStore>;

/** When the tests happen, ms since 1970; and how long keys are remembered in them. */
export const start = 1_800_000_000_000;
export const keyWindowMs = 14 * 24 * 3_600_000;

/** Promises of the store by their title, each as a test over a store without any data. */
export type Promises = Readonly<Record<string, (world: World) => Promise<void>>>;
export type World = ReturnType<typeof worldOver>;

/** A test body with a fresh store, which is closed whatever happens. */
export function withStore(open: OpenStore, body: (world: World) => Promise<void>): () => Promise<void> {
  return async () => {
    const opened = await open();
    try {
      await body(worldOver(opened));
    } finally {
      await opened.close();
    }
  };
}

function worldOver({ store, reopen }: OpenedStore) {
  const random = seededRandom(7);
  const uuid = () => uuidV7(start, random.bytes(10));

  /** A token of a runner unless said otherwise. */
  const token = (over: Partial<NewToken> = {}): NewToken => ({
    id: asId<TokenId>(uuid()),
    kind: "runner",
    hash: tokenHash(uuid()),
    scopes: ["lane:deliver", "inbox:read"],
    note: "made by a test",
    ...over,
  });
  const enrolment = (name: string, over: Partial<Enrolment> = {}): Enrolment => ({
    agentId: asId<AgentId>(uuid()),
    name,
    provider: "exec",
    machine: "mill",
    profile: "default",
    token: token(),
    takeover: false,
    mayTakeOver: true,
    displacedUntil: start + 7 * 24 * 3_600_000,
    leaseUntil: start + 180_000,
    ...over,
  });
  const agent = async (name: string): Promise<Agent> =>
    enrolled(await store.enrol(enrolment(name), start)).agent;

  const write = (args: Record<string, unknown>, over: Partial<Write> = {}): Write => ({
    key: asId<IdempotencyKey>(`key-${uuid()}`),
    messageId: asId<MessageId>(uuid()),
    tool: "relay_send_message",
    arguments: args,
    enqueuedAt: new Date(start).toISOString(),
    ...over,
  });
  const reply = (messageId: string, body: string, over: Partial<Write> = {}): Write =>
    write({ messageId, body }, { tool: "relay_reply", ...over });
  const batch = (sender: Agent, writes: Write[], over: Partial<WriteBatch> = {}): WriteBatch => ({
    sender: sender.id,
    scopes: ["message:send"],
    keyWindowMs,
    writes,
    ...over,
  });
  const apply = async (sender: Agent, ...writes: Write[]) =>
    applied(await store.applyWrites(batch(sender, writes), start));

  return {
    store,
    unbraked: () => unbraked(store),
    reopen: reopen ?? (() => Promise.resolve(store)),
    uuid,
    token,
    enrolment,
    agent,
    write,
    reply,
    batch,
    apply,
    /** Everything in an inbox, by pages of this size. */
    inbox: (owner: Agent, limit = 200) => inboxOf(store, owner, limit),
  };
}

async function inboxOf(store: RelayStore, owner: Agent, limit: number): Promise<Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const afterSeq = messages.at(-1)?.seq ?? 0;
    const page = await store.readInbox({ agentId: owner.id, afterSeq, unread: false, limit });
    messages.push(...page.messages);
    if (!page.more) return messages;
  }
}

/** From now on agents may write as much as a test wants: what is tested is not the rate. */
async function unbraked(store: RelayStore): Promise<void> {
  const limits = { ...defaultProfile.limits, burst: 1_000_000, perMinute: 1_000_000 };
  await store.setProfile({ ...defaultProfile, limits }, start);
}

/** The result of a batch that must have been applied. */
export function applied(result: WriteBatchResult): Extract<WriteBatchResult, { status: "applied" }> {
  if (result.status !== "applied") throw new Error(`The batch was not applied: ${JSON.stringify(result)}`);
  return result;
}

/** The outcome of a write that must have been committed. */
export function committed(outcome: LaneOutcome | undefined): Extract<LaneOutcome, { status: "committed" }> {
  if (outcome?.status !== "committed") throw new Error(`It was not committed: ${JSON.stringify(outcome)}`);
  return outcome;
}

/** The result of an enrolment that must have succeeded. */
export function enrolled(result: EnrolmentResult): Extract<EnrolmentResult, { status: "enrolled" }> {
  if (result.status !== "enrolled") throw new Error(`The agent was not enrolled: ${JSON.stringify(result)}`);
  return result;
}

/** The whole numbers from 1. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}
