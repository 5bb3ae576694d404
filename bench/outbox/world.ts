/** What the parts of the outbox bench share: a relay that is away, a write of the usual size, a wire that takes time. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type Deliverer, DeliveryError, type WriteCall } from "../../src/wire/write.ts";

/** A relay that cannot be reached. */
export const away: Deliverer = {
  open: () => Promise.reject(new DeliveryError("unreachable", "no", "the relay is away")),
  deliver: () => Promise.reject(new DeliveryError("unreachable", "no", "the relay is away")),
  probe: () => Promise.resolve(false),
};

const padding = "x".repeat(900);

/** A message of about a kilobyte. */
export function call(body: string): WriteCall {
  return {
    ...{ tool: "relay_send_message", arguments: { to: "bob", body: `${body} ${padding}` } },
    ...{ key: undefined, callId: undefined, session: "bench" },
  };
}

/** Percentile of at least one value. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Passes bytes on to a port after a delay each way; `close` makes the relay unreachable. */
export function slowWire(
  port: number,
  target: number,
  oneWayMs: number,
): Promise<{ port: number; close(): void }> {
  const open = new Set<Socket>();
  const server = createServer((agent) => {
    const relay = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [agent, relay],
      [relay, agent],
    ] as const) {
      open.add(from);
      from.setNoDelay(true);
      from.on("data", (bytes) => setTimeout(() => to.write(bytes), oneWayMs));
      from.on("end", () => setTimeout(() => to.end(), oneWayMs));
      from.on("error", () => to.destroy());
      from.on("close", () => open.delete(from));
    }
  });
  const close = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => resolve({ port: (server.address() as AddressInfo).port, close }));
  });
}
