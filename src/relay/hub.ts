/**
 * Who follows which feed in this process. It only wakes: what a feed sends is read from the store after its cursor,
 * so a lost wake costs time and never a message. It also knows who is online.
 */
import type { Clock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import type { hintSubjects } from "../wire/feed.ts";
import type { AgentId } from "../wire/id.ts";
import { createWheel } from "./wheel.ts";

export type HintSubject = (typeof hintSubjects)[number];

/** An open feed. Neither function may throw. */
export type Follower = {
  /** The inbox may have grown. */
  wake(): void;
  /** Something changed that the client reads as a snapshot. */
  hint(subject: HintSubject): void;
};

export type Hub = {
  /** Adds a feed; the returned function removes it. */
  join(agent: AgentId, follower: Follower): () => void;
  /** These agents' inboxes grew. */
  wake(agents: readonly AgentId[]): void;
  /** Tells the followers of this agent. */
  hint(agent: AgentId, subject: HintSubject): void;
  /** The list of agents changed; all followers are told within `limits.presenceHintMs`. */
  agentsChanged(): void;
  /** What an agent does changed, which happens more often and interests fewer; told in the same time. */
  presenceChanged(): void;
  /** True while somebody follows the agent's feed: its runner, for the operator a person's client. */
  isOnline(agent: AgentId): boolean;
  /** Agents that are online now. */
  online(): AgentId[];
  /** Calls back every `limits.feedKeepaliveMs` until the returned function is called; must not throw. */
  beat(callback: () => void): () => void;
  /** Ends every timer. */
  close(): void;
};

/**
 * A hub.
 * @param options.seen is told when an agent comes, goes, and every `limits.presenceMs` in between
 */
export function createHub(options: { clock: Clock; seen(agent: AgentId): void }): Hub {
  const { clock, seen } = options;
  const followers = new Map<AgentId, Set<Follower>>();
  const waiting = new Map<HintSubject, () => void>();
  let closed = false;

  const of = (agent: AgentId) => [...(followers.get(agent) ?? [])];
  const online = () => [...followers.keys()];
  const tellAll = (subject: HintSubject) => {
    if (closed || waiting.has(subject)) return;
    const tell = () => {
      waiting.delete(subject);
      for (const agent of online()) for (const follower of of(agent)) follower.hint(subject);
    };
    waiting.set(subject, clock.after(limits.presenceHintMs, tell));
  };
  const cameOrWent = (agent: AgentId) => {
    seen(agent);
    tellAll("agents");
  };
  const wheel = createWheel({ clock, turnMs: limits.feedKeepaliveMs, slots: limits.feedWheelSlots });
  // Each agent's presence is written down in its own second of the minute.
  const presence = createWheel({ clock, turnMs: limits.presenceMs, slots: limits.presenceWheelSlots });
  const staying = new Map<AgentId, () => void>();

  return {
    join(agent, follower) {
      const set = followers.get(agent) ?? new Set();
      followers.set(agent, set.add(follower));
      if (set.size === 1) {
        staying.set(
          agent,
          presence.join(() => seen(agent)),
        );
        cameOrWent(agent);
      }
      return () => {
        if (!set.delete(follower) || set.size > 0) return;
        followers.delete(agent);
        staying.get(agent)?.();
        staying.delete(agent);
        cameOrWent(agent);
      };
    },
    wake(agents) {
      for (const agent of agents) for (const follower of of(agent)) follower.wake();
    },
    hint(agent, subject) {
      for (const follower of of(agent)) follower.hint(subject);
    },
    agentsChanged: () => tellAll("agents"),
    presenceChanged: () => tellAll("presence"),
    isOnline: (agent) => followers.has(agent),
    online,
    beat: wheel.join,
    close() {
      closed = true;
      wheel.close();
      presence.close();
      for (const stop of waiting.values()) stop();
    },
  };
}
