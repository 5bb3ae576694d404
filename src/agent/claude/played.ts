/** A session of Claude Code played by a test: what it is told, and all that it says. */
import { VirtualClock } from "../../base/clock.ts";
import { silentLog } from "../../base/log.ts";
import { seededRandom } from "../../base/random.ts";
import { limits } from "../../limits.ts";
import type { Conversation, LaunchMode } from "../launch.ts";
import { playedRequest } from "../played-request.ts";
import type { Injection, SavedConversation, SessionOptions } from "../session.ts";
import type { SessionEvent } from "../session-event.ts";

export type PlayedOptions = {
  options: SessionOptions;
  clock: VirtualClock;
  events: SessionEvent[];
  /** The events of some kinds, as they came. */
  only(...types: SessionEvent["type"][]): SessionEvent[];
  /** Conversations that starts were asked with. */
  asked: (Conversation | undefined)[];
  waiting: Injection | undefined;
};

/** Options of a session whose home is a folder of the test. */
export function playOptions(
  mode: LaunchMode,
  { home, saved, args = [] }: { home: string; saved?: SavedConversation; args?: string[] },
): PlayedOptions {
  const clock = new VirtualClock(0);
  const events: SessionEvent[] = [];
  const asked: (Conversation | undefined)[] = [];
  const played: PlayedOptions = {
    ...{ clock, events, asked, waiting: undefined },
    only: (...types) => events.filter(({ type }) => types.includes(type)),
    options: {
      mode,
      request(conversation) {
        asked.push(conversation);
        const environment = { PATH: "/bin", HOME: home };
        return { ...playedRequest, mode, conversation, args, environment };
      },
      saved,
      ownEndpoint: true,
      scratch: home,
      onEvent: (event) => void events.push(event),
      takeWaiting() {
        const { waiting } = played;
        played.waiting = undefined;
        return waiting;
      },
      clock,
      random: seededRandom(1),
      log: silentLog,
      limits,
    },
  };
  return played;
}

/** Lets everything that is under way go on. */
export async function settle(): Promise<void> {
  for (let n = 0; n < 10; n++) await Promise.resolve();
}
