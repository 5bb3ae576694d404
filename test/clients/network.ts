/**
 * Attempts of this network namespace to reach anything but loopback: names that are asked for, at a resolver of ours on
 * loopback that knows none, and addresses, which the kernel counts as without a route.
 */
import { readFileSync } from "node:fs";

export type NetworkWatch = {
  /** What was tried since the watch began: names, and `N addresses`. */
  tried(): string[];
  /** A proxy on loopback that refuses everything: for a client that has no other switch against asking the world. */
  readonly proxy: string;
  /** What the proxy was asked for: methods and hosts or addresses, each once. */
  asked(): string[];
  close(): void;
};

/** Watches from now on. One watch at a time: it is the namespace's only resolver. */
export async function watchNetwork(): Promise<NetworkWatch> {
  const names = new Set<string>();
  const before = addressesTried();
  const resolver = await Bun.udpSocket({
    hostname: "127.0.0.1",
    port: 53,
    socket: {
      data(socket, query, port, address) {
        names.add(nameIn(query));
        socket.send(noSuchName(query), port, address);
      },
    },
  });
  const asked = new Set<string>();
  const proxy = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        asked.add(/^\S+ \S+/.exec(bytes.toString("latin1"))?.[0] ?? "something");
        socket.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
      },
    },
  });
  return {
    proxy: `http://127.0.0.1:${proxy.port}`,
    asked: () => [...asked],
    tried() {
      const addresses = addressesTried() - before;
      return [...names, ...(addresses === 0 ? [] : [`${addresses} addresses`])];
    },
    close() {
      resolver.close();
      proxy.stop(true);
    },
  };
}

/** Attempts without a route so far, IPv4 and IPv6 together. */
function addressesTried(): number {
  const rows = readFileSync("/proc/net/snmp", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("Ip: "))
    .map((line) => line.split(" "));
  const [names = [], values = []] = rows;
  const four = Number(values[names.indexOf("OutNoRoutes")]);
  const six = Number(/^Ip6OutNoRoutes\s+(\d+)$/m.exec(readFileSync("/proc/net/snmp6", "utf8"))?.[1] ?? 0);
  return four + six;
}

const headBytes = 12;

/** The name of the first question (RFC 1035 §4.1.2). */
function nameIn(query: Buffer): string {
  const labels: string[] = [];
  for (let at = headBytes; ; ) {
    const length = query[at] ?? 0;
    if (length === 0) return labels.join(".");
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
}

/** The question with the answer that there is no such name (RFC 1035 §4.1.1, RCODE 3). */
function noSuchName(query: Buffer): Buffer {
  const answer = Buffer.from(query);
  answer.writeUInt16BE(0x8183, 2);
  return answer;
}
