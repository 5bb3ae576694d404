/** Lines handed to a Unix socket: all of them arrive, and what cannot be handed over is told apart. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "./clock.ts";
import { writeToSocket } from "./unix-socket.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "agent-relay-socket-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function listen(path: string) {
  let bytes = 0;
  const ended = Promise.withResolvers<number>();
  const server = Bun.listen({
    unix: path,
    socket: {
      data(_, chunk) {
        bytes += chunk.byteLength;
      },
      close: () => ended.resolve(bytes),
    },
  });
  return { ended: ended.promise, stop: () => server.stop(true) };
}

test.each([10, 2_000_000])("%d bytes arrive whole, then the connection is closed", async (count) => {
  const path = join(folder, `s${count}`);
  const server = listen(path);
  const outcome = await writeToSocket(path, "x".repeat(count), { clock: realClock, ms: 5_000 });
  expect(outcome).toEqual({ status: "written" });
  expect(await server.ended).toBe(count);
  server.stop();
});

test("a socket that is not there is refused", async () => {
  const outcome = await writeToSocket(join(folder, "none"), "x", { clock: realClock, ms: 1_000 });
  expect(outcome.status).toBe("refused");
});

test("a file that is no socket is refused", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "");
  const outcome = await writeToSocket(path, "x", { clock: realClock, ms: 1_000 });
  expect(outcome.status).toBe("refused");
});
