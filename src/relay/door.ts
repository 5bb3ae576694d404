/**
 * What is checked before anything else is looked at: that the request was meant for this address (DNS rebinding)
 * and does not come from a page of another site. A request's URL is built from its Host header, so it proves nothing.
 */
import { isLoopbackHost, isOwnOrigin } from "../base/http/guard.ts";
import { RelayError } from "../wire/error.ts";

/**
 * Why the request may not come in, or undefined when it may. A missing Origin passes: programs send none.
 * @param port the one this relay listens on
 */
export function refusalAt(port: number, headers: Headers): RelayError | undefined {
  const host = headers.get("host");
  if (!isLoopbackHost(host, port)) {
    return new RelayError(
      "forbidden",
      `Host '${host ?? ""}' is not this relay; 127.0.0.1:${port} was wanted`,
    );
  }
  const origin = headers.get("origin");
  if (!isOwnOrigin(origin, port)) {
    return new RelayError("forbidden", `Origin '${origin}' is not this relay's own address`);
  }
  if (headers.get("sec-fetch-site") === "cross-site") {
    return new RelayError("forbidden", "The request comes from a page of another site");
  }
  return undefined;
}
