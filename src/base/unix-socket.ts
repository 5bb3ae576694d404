/** Hands lines to a Unix socket of this user: one connection, written, closed. */
import type { Clock } from "./clock.ts";

/** refused: nothing was taken. unknown: a part may have been. */
export type SocketOutcome =
  | { status: "written" }
  | { status: "refused"; reason: string }
  | { status: "unknown"; reason: string };

/**
 * Writes a text and closes. Never rejects.
 * @param options `ms` from the connection to the last byte
 */
export function writeToSocket(
  path: string,
  text: string,
  { clock, ms }: { clock: Clock; ms: number },
): Promise<SocketOutcome> {
  const bytes = Buffer.from(text);
  const { promise, resolve } = Promise.withResolvers<SocketOutcome>();
  let sent = 0;
  let open: Bun.Socket<undefined> | undefined;
  const done = (outcome: SocketOutcome) => {
    cancel();
    resolve(outcome);
    open?.end();
  };
  const failed = (reason: string) => done({ status: sent === 0 ? "refused" : "unknown", reason });
  const cancel = clock.after(ms, () => failed(`no progress within ${ms} ms`));
  const push = (socket: Bun.Socket<undefined>) => {
    sent += socket.write(bytes.subarray(sent));
    if (sent < bytes.byteLength) return;
    socket.flush();
    done({ status: "written" });
  };
  const socket = {
    open(opened: Bun.Socket<undefined>) {
      open = opened;
      push(opened);
    },
    drain: push,
    data() {},
    error: (_: unknown, error: Error) => failed(error.message),
    connectError: (_: unknown, error: Error) => failed(error.message),
    close: () => failed("the other side closed the connection"),
  };
  Bun.connect({ unix: path, socket }).catch((error: unknown) =>
    failed(error instanceof Error ? error.message : String(error)),
  );
  return promise;
}
