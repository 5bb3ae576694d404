/**
 * Attempts of this network namespace to reach anything but loopback. The namespace has no other way, so the kernel counts
 * each attempt as one without a route; a name that is asked for is such an attempt too.
 */
import { readFileSync } from "node:fs";

/** Attempts so far, IPv4 and IPv6 together. */
export function attemptsOutside(): number {
  const rows = readFileSync("/proc/net/snmp", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("Ip: "))
    .map((line) => line.split(" "));
  const [names = [], values = []] = rows;
  const four = Number(values[names.indexOf("OutNoRoutes")]);
  const six = Number(/^Ip6OutNoRoutes\s+(\d+)$/m.exec(readFileSync("/proc/net/snmp6", "utf8"))?.[1] ?? 0);
  return four + six;
}
