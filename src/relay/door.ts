/**
 * What is checked before anything else is looked at: that the request was meant for this relay (DNS rebinding), does
 * not come from a page of another site, and has a head of a sane size. A request's URL is built from its Host
 * header, so it proves nothing.
 */
import { limits } from "../limits.ts";
import { RelayError } from "../wire/error.ts";

export type DoorOptions = {
  /** The port it listens on. */
  port: number;
  /** True when it speaks TLS itself. */
  tls: boolean;
  /** Further names or addresses it is reached by, with or without a port: of its network, or of a proxy before it. */
  names?: readonly string[];
};

/** Why a request may not come in, or undefined when it may. */
export type Door = (headers: Headers) => RelayError | undefined;

const loopbackNames = ["127.0.0.1", "localhost", "[::1]"];

/** The door of a relay. A missing Origin passes: programs send none. Names are compared letter by letter. */
export function doorOf({ port, tls, names = [] }: DoorOptions): Door {
  const hosts = new Set([...loopbackNames.map((name) => `${name}:${port}`), ...names.flatMap(named(port))]);
  const scheme = tls ? "https" : "http";
  // A proxy before us may speak TLS when we do not.
  const further = new Set(names.flatMap(named(port)).map((host) => `https://${host}`));
  const origins = new Set([...[...hosts].map((host) => `${scheme}://${host}`), ...further]);
  return (headers) => {
    const host = headers.get("host");
    if (host === null || !hosts.has(host)) {
      return new RelayError(
        "forbidden",
        `Host '${(host ?? "").slice(0, 100)}' is not this relay; 127.0.0.1:${port} or a name given with --allow-host was wanted`,
      );
    }
    const origin = headers.get("origin");
    if (origin !== null && !origins.has(origin)) {
      return new RelayError("forbidden", `Origin '${origin.slice(0, 100)}' is not this relay's own address`);
    }
    if (headers.get("sec-fetch-site") === "cross-site") {
      return new RelayError("forbidden", "The request comes from a page of another site");
    }
    return headTooLarge(headers);
  };
}

/** A name as it may stand in Host: with our port, with its own, or with none (the scheme's default). */
function named(port: number): (name: string) => string[] {
  return (given) => {
    const name = given.toLowerCase();
    const bare =
      name.includes(":") && !name.startsWith("[") && name.split(":").length > 2 ? `[${name}]` : name;
    return /:\d+$/.test(bare) && !bare.endsWith("]") ? [bare] : [bare, `${bare}:${port}`];
  };
}

function headTooLarge(headers: Headers): RelayError | undefined {
  const fields = headers.count;
  if (fields <= limits.requestFieldsMax) return undefined;
  return new RelayError(
    "head_too_large",
    `Read the request: it has ${fields} header fields, at most ${limits.requestFieldsMax} were wanted`,
  );
}
