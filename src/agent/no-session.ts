/** The session of a program that nothing is known about: it is started, and nobody can inject into it. */
import type { LaunchPlan, LaunchRequest } from "./launch.ts";
import type { Session, SessionOptions } from "./session.ts";
import { createCore } from "./session-core.ts";

/** A session that only starts what `launch` says. */
export function openNoSession(
  options: SessionOptions,
  launch: (request: LaunchRequest) => LaunchPlan,
): Session {
  const core = createCore(options);
  return {
    get status() {
      return core.status;
    },
    canInject: false,
    prepare: () => Promise.resolve(launch(options.request(undefined))),
    started: () => core.emit({ type: "started" }),
    output() {},
    exited: () => core.emit({ type: "exited" }),
    hook: () => undefined,
    inject: () =>
      Promise.resolve({ status: "refused", reason: "this program cannot be given messages", final: true }),
    lookFor: () => Promise.resolve(new Map()),
    interrupt: () => Promise.resolve(false),
    close: () => Promise.resolve(),
  };
}
